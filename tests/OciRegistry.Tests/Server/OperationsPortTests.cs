using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

/// <summary>Health, metrics and the admin API on addresses of their own.</summary>
public sealed class OperationsPortTests
{
    private const string Operations = "--OciRegistry:Operations:Urls=http://127.0.0.1:0";

    [Theory]
    [InlineData("--urls=http://127.0.0.1:0")]
    [InlineData("--Kestrel:Endpoints:Main:Url=http://127.0.0.1:0")]
    [InlineData("--Kestrel:Endpoints:Zzz:Url=http://127.0.0.1:0 --http_ports=1")]
    public async Task Operations_are_answered_there_alone_and_the_registry_here_alone(string listen)
    {
        await using var server = ServerProcess.Start($"{listen} {Operations}");
        var (registry, operations) = await UntilListeningAsync(server);
        registry.ShouldNotBe(operations);

        foreach (var path in (string[])["/livez", "/readyz", "/startupz", "/metrics", "/admin/uploads", "/admin/health"])
        {
            (await StatusAsync(operations, path)).ShouldBe(200, path);
            var refused = await AskAsync(registry, path, registry.Authority);
            (refused.Status, refused.Codes.SingleOrDefault()).ShouldBe((404, "UNSUPPORTED"), path);

            // Which address it was sent to, a client cannot choose by what it says.
            (await AskAsync(registry, path, operations.Authority)).Status.ShouldBe(404, path);
        }

        foreach (var path in (string[])["/v2/", "/v2/_catalog", "/v2/a/tags/list"])
        {
            (await StatusAsync(registry, path)).ShouldBe(path == "/v2/a/tags/list" ? 404 : 200, path);
            var refused = await AskAsync(operations, path, registry.Authority);
            (refused.Status, refused.Codes.SingleOrDefault()).ShouldBe((404, "UNSUPPORTED"), path);
        }

        using var http = RegistryClient.To(registry);
        await http.PushImageAsync("team/app", "v1");
        server.Output.ShouldNotContain("verriding");
    }

    [Fact]
    public async Task The_admin_API_of_an_open_registry_is_still_for_its_own_machine_only()
    {
        await using var server = ServerProcess.Start($"--urls=http://127.0.0.1:0 {Operations}");
        var (_, operations) = await UntilListeningAsync(server);

        foreach (var forwarding in (string[])["X-Forwarded-For: 192.0.2.1", "Via: 1.1 proxy"])
        {
            await using var raw = await RawHttp.ConnectAsync(operations);
            await raw.SendAsync($"GET /admin/uploads HTTP/1.1\r\nHost: localhost\r\n{forwarding}\r\n\r\n");
            var refused = await raw.ReadAsync();
            (refused.Status, refused.Codes.SingleOrDefault()).ShouldBe((403, "DENIED"), forwarding);
        }
    }

    /// <summary>Who uses up the registry's connections must not have the process taken for dead.</summary>
    [Fact]
    public async Task Connections_to_the_registry_take_none_from_operations()
    {
        await using var server = ServerProcess.Start($"--urls=http://127.0.0.1:0 {Operations} --OciRegistry:Limits:Connections=1");
        var (registry, operations) = await UntilListeningAsync(server);
        await using var only = await RawHttp.ConnectAsync(registry);
        await only.SendAsync("GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
        (await only.ReadAsync()).Status.ShouldBe(200);
        await using var refused = await RawHttp.ConnectAsync(registry);
        (await refused.ReadAsync()).IsClosed.ShouldBeTrue();

        (await StatusAsync(operations, "/livez")).ShouldBe(200);
        (await StatusAsync(operations, "/readyz")).ShouldBe(200);
    }

    [Fact]
    public async Task Tokens_are_issued_on_both()
    {
        await using var server = ServerProcess.Start($"--urls=http://127.0.0.1:0 {Operations} --OciRegistry:Auth:Robots=true");
        var (registry, operations) = await UntilListeningAsync(server);

        foreach (var url in (Uri[])[registry, operations])
        {
            (await StatusAsync(url, "/token")).ShouldBe(200);
        }

        var challenge = await AskAsync(operations, "/admin/robots", operations.Authority);
        challenge.Status.ShouldBe(401);
        challenge.Headers["WWW-Authenticate"].ShouldHaveSingleItem().ShouldContain($"realm=\"{operations}token\"");
    }

    [Theory]
    [InlineData("http://metrics.internal:5001", "which is no address to listen on")] // Kestrel: all addresses
    [InlineData("http://127.0.0.1:5000", "which the registry itself listens on")]
    [InlineData("registry.example:5001", "which is no address to listen on")]
    public async Task An_address_that_cannot_be_is_a_problem(string url, string problem)
    {
        await using var server = ServerProcess.Start($"--urls=http://127.0.0.1:5000 --OciRegistry:Operations:Urls={url}");
        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(1);
        errors.ShouldContain($"OciRegistry:Operations:Urls has '{url}'");
        errors.ShouldContain(problem);
    }

    [Fact]
    public async Task Check_says_where_they_would_be_answered()
    {
        await using var server = ServerProcess.Start($"--check --urls=http://127.0.0.1:0 {Operations};http://[::1]:0");
        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(0, errors);
        server.Output.ShouldContain("Would answer health, metrics and the admin API on http://127.0.0.1:0\n");
        server.Output.ShouldContain("Would answer health, metrics and the admin API on http://[::1]:0\n");
    }

    private static async Task<(Uri Registry, Uri Operations)> UntilListeningAsync(ServerProcess server)
    {
        const string operations = "Health, metrics and admin API on ";
        var registry = await server.UntilListeningAsync();
        return (registry, new Uri((await server.UntilLineAsync(operations))[operations.Length..]));
    }

    private static async Task<int> StatusAsync(Uri url, string path) => (await AskAsync(url, path, url.Authority)).Status;

    private static async Task<RawAnswer> AskAsync(Uri url, string path, string host)
    {
        await using var raw = await RawHttp.ConnectAsync(url);
        await raw.SendAsync($"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        return await raw.ReadAsync();
    }
}
