using System.Net;
using OciRegistry.Tests.Auth;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

/// <summary>A server whose settings file is replaced while it serves, as its operator sees it.</summary>
public sealed class SettingsReloadTests
{
    private const string AnyPort = "--urls=http://127.0.0.1:0";

    [Fact]
    public async Task A_policy_lets_a_subject_in_from_the_next_request_on_and_its_removal_shuts_it_out()
    {
        using var users = new AuthFolder();
        await using var server = ServerProcess.Start(AnyPort, appsettings: Settings(users, ""));
        using var client = new HttpClient { BaseAddress = await server.UntilListeningAsync() };
        client.DefaultRequestHeaders.Authorization = GuardedRegistry.Basic("alice", AuthFolder.AlicesPassword);
        (await StatusAsync(client, "/v2/a/tags/list")).ShouldBe(HttpStatusCode.Forbidden);

        Replace(server, Settings(users, """{ "Subjects": ["user:alice"], "Repositories": ["a"], "Actions": ["pull"] }"""));
        (await server.UntilLineThatHasAsync("OciRegistry:Auth:Policies has changed")).ShouldContain("OciRegistry.Audit");
        (await StatusAsync(client, "/v2/a/tags/list")).ShouldBe(HttpStatusCode.NotFound); // nothing was pushed
        (await StatusAsync(client, "/v2/b/tags/list")).ShouldBe(HttpStatusCode.Forbidden);

        Replace(server, Settings(users, ""));
        await server.UntilLineThatHasAsync("OciRegistry:Auth:Policies has changed");
        (await StatusAsync(client, "/v2/a/tags/list")).ShouldBe(HttpStatusCode.Forbidden);
    }

    [Fact]
    public async Task Levels_of_logs_limits_and_switches_count_from_then_on()
    {
        const string kestrel = "dbug: Microsoft.AspNetCore.Server.Kestrel";
        await using var server = ServerProcess.Start(AnyPort);
        using var client = new HttpClient { BaseAddress = await server.UntilListeningAsync() };

        Replace(server, """{ "Logging": { "LogLevel": { "Microsoft": "Debug" } } }""");
        await server.UntilLineThatHasAsync("Logging:LogLevel:Microsoft is Debug from here on; it was Warning.");
        await StatusAsync(client, "/v2/");
        (await server.UntilLineThatHasAsync(kestrel)).ShouldNotBeEmpty();

        Replace(server, """{ "OciRegistry": { "ReadOnly": true } }""");
        await server.UntilLineThatHasAsync("OciRegistry:ReadOnly is true from here on; it was false.");
        var read = server.Output.Length;
        using (var push = await client.PostAsync(new Uri("/v2/a/blobs/uploads/", UriKind.Relative), null))
        {
            push.StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        }

        Replace(server, """{ "OciRegistry": { "Limits": { "PerAddress": 1 } } }""");
        await server.UntilLineThatHasAsync("OciRegistry:Limits:PerAddress is 1 from here on; it was none.");
        server.Output[read..].ShouldNotContain(kestrel);
        await Until.TrueAsync(
            async () => await StatusAsync(client, "/v2/") == HttpStatusCode.TooManyRequests, "requests are limited");

        Replace(server, "{}");
        await server.UntilLineThatHasAsync("OciRegistry:Limits:PerAddress is none from here on; it was 1.");
        using var pushed = await client.PostAsync(new Uri("/v2/a/blobs/uploads/", UriKind.Relative), null);
        pushed.StatusCode.ShouldBe(HttpStatusCode.Accepted);
    }

    [Fact]
    public async Task What_cannot_be_changes_nothing_and_what_needs_a_restart_is_told_of()
    {
        const string kept = "The settings have changed into some that cannot be used, so those before still count.";
        await using var server = ServerProcess.Start(AnyPort, appsettings: """{ "OciRegistry": { "ReadOnly": true } }""");
        using var client = new HttpClient { BaseAddress = await server.UntilListeningAsync() };

        Replace(server, """{ "OciRegistry": { "ReadOnly": fal""");
        (await server.UntilLineThatHasAsync(kept)).ShouldContain("appsettings.json");
        using (var refused = await client.PostAsync(new Uri("/v2/a/blobs/uploads/", UriKind.Relative), null))
        {
            refused.StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        }

        Replace(server, """{ "OciRegistry": { "ReadOnly": false, "Storage": { "FileSystem": { "Root": "elsewhere" } } } }""");
        await server.UntilLineThatHasAsync("OciRegistry:ReadOnly is false from here on; it was true.");
        await server.UntilLineThatHasAsync("OciRegistry:Storage:FileSystem:Root has changed, which needs a restart; it stays data until then.");
        using var pushed = await client.PostAsync(new Uri("/v2/a/blobs/uploads/", UriKind.Relative), null);
        pushed.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        Directory.Exists(Path.Combine(server.Folder, "elsewhere")).ShouldBeFalse();
    }

    [Theory]
    [InlineData("""{ "OciRegistry": { "ReadOnly": true } }""")] // as it was
    [InlineData("""{ "OciRegistry": { "ReadOnly": false } }""")]
    public async Task That_settings_are_rejected_is_a_metric_until_they_are_accepted_again(string mended)
    {
        await using var server = ServerProcess.Start(AnyPort, appsettings: """{ "OciRegistry": { "ReadOnly": true } }""");
        using var client = new HttpClient { BaseAddress = await server.UntilListeningAsync() };
        await IsAsync(0);

        Replace(server, """{ "OciRegistry": { "ReadOnly": fal""");
        await IsAsync(1);
        Replace(server, """{ "OciRegistry": { "ReadOnly": "perhaps" } }""");
        await server.UntilLineThatHasAsync("perhaps");
        await IsAsync(1);

        Replace(server, mended);
        await IsAsync(0);

        Task IsAsync(int value) => Until.TrueAsync(
            async () => (await client.GetStringAsync(new Uri("/metrics", UriKind.Relative)))
                .Contains($"oci_registry_settings_rejected{{file=\"settings\"}} {value}\n", StringComparison.Ordinal),
            $"it is {value}");
    }

    private static string Settings(AuthFolder users, string policies) => $$"""
        { "OciRegistry": { "Auth": { "Htpasswd": "{{users.Htpasswd}}", "Policies": [ {{policies}} ] } } }
        """;

    private static async Task<HttpStatusCode> StatusAsync(HttpClient client, string path)
    {
        using var response = await client.GetAsync(new Uri(path, UriKind.Relative));
        return response.StatusCode;
    }

    /// <summary>As editors do: never is there a part of the file.</summary>
    private static void Replace(ServerProcess server, string content)
    {
        var path = Path.Combine(server.Folder, "appsettings.json");
        File.WriteAllText($"{path}.new", content);
        File.Move($"{path}.new", path, overwrite: true);
    }
}
