namespace OciRegistry.Tests.Server;

/// <summary>A server that others can reach is open because somebody has said so, or not at all.</summary>
public sealed class OpennessTests
{
    [Theory]
    [InlineData("--urls=http://0.0.0.0:0", "http://0.0.0.0:0")]
    [InlineData("--urls=http://*:0", "http://*:0")]
    [InlineData("--urls=http://127.0.0.1:0;http://[::]:0", "http://[::]:0")]
    [InlineData("--http_ports=8080", "http://*:8080")]
    [InlineData("--Kestrel:Endpoints:Main:Url=http://192.0.2.1:5000", "http://192.0.2.1:5000")]
    public async Task An_open_registry_does_not_listen_beyond_its_machine(string setting, string url)
    {
        await using var server = ServerProcess.Start(setting);
        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(1);
        errors.ShouldContain($"{url} can be reached from other machines, and nobody has to log in");
        errors.ShouldContain("OciRegistry:Auth:AllowAnonymous=true");
    }

    [Theory]
    [InlineData("--urls=http://127.0.0.1:0")]
    [InlineData("--urls=http://[::1]:0")]
    [InlineData("--urls=http://127.0.0.1:0;http://unix:/tmp/oci-registry-test-{0}.sock")]
    [InlineData("--urls=http://127.0.0.1:0 --http_ports=8080")] // as a container's environment has it
    [InlineData("--Kestrel:Endpoints:Main:Url=http://127.0.0.1:0 --http_ports=8080")]
    [InlineData("--urls=http://0.0.0.0:0 --OciRegistry:Auth:AllowAnonymous=true")]
    [InlineData("--urls=http://0.0.0.0:0 --OciRegistry:Auth:Robots=true")]
    public async Task It_listens_where_it_may(string arguments)
    {
        await using var server = ServerProcess.Start(string.Format(null, arguments, Guid.NewGuid().ToString("n")));

        await server.UntilListeningAsync();
        server.Output.ShouldNotContain("verriding");
    }

    [Fact]
    public async Task Who_says_open_and_closed_is_told_so_with_all_else_that_is_wrong()
    {
        await using var server = ServerProcess.Start(
            "--urls=http://0.0.0.0:0 --OciRegistry:Auth:AllowAnonymous=true --OciRegistry:Auth:Htpasswd=missing"
            + " --OciRegistry:Auth:Policies:0:Subjects=alice --OciRegistry:Auth:Policies:0:Actions:0=write"
            + " --OciRegistry:Auth:Policies:0:Repositories:0=a --OciRegistry:Auth:Issuers:0:Name=github"
            + " --OciRegistry:Auth:PolicyFile=broken.json --OciRegistry:Auth:Policies:x:Name=y");
        await File.WriteAllTextAsync(Path.Combine(server.Folder, "broken.json"), "{");
        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(1);
        errors.ShouldContain("Auth:AllowAnonymous opens the registry to everybody, but there are other settings of Auth.");
        errors.ShouldContain("'missing': It cannot be read");
        errors.ShouldContain("'broken.json'");
        errors.ShouldContain("Auth:Policies:0: Its subject 'alice' is none.");
        errors.ShouldContain("Auth:Policies:0: Its action 'write' is unknown.");
        errors.ShouldContain("Auth:Issuers:0:Authority is ''.");
        errors.ShouldContain("Auth:Issuers:0:Audience is missing.");
        errors.ShouldContain("OciRegistry:Auth:Policies:x (command line) is no setting. Number the entries:");
    }

    [Fact]
    public async Task Who_would_believe_every_proxy_is_told_how_to_name_his()
    {
        await using var server = ServerProcess.Start(
            "--urls=http://127.0.0.1:0 --OciRegistry:Proxies=nonsense", [("ASPNETCORE_FORWARDEDHEADERS_ENABLED", "true")]);
        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(1);
        errors.ShouldContain("forwardedHeaders_enabled has the server believe anybody");
        errors.ShouldContain("OciRegistry:Proxies has 'nonsense'. Write addresses");
    }
}
