using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace OciRegistry.Tests.Server.Telemetry;

/// <summary>Each line that is logged for a request says for which, by the id that its client has.</summary>
public sealed class RequestIdTests
{
    private const string Trace = "4bf92f3577b34da6a3ce929d0e0e4736";

    private static readonly string[] Settings =
    [
        "--urls=http://127.0.0.1:0",
        "--OciRegistry:Auth:Robots=true",
        "--OciRegistry:Auth:FailedLoginDelay=00:00:00",
        "--OciRegistry:Auth:Policies:0:Name=all",
        "--OciRegistry:Auth:Policies:0:Subjects:0=anonymous",
        "--OciRegistry:Auth:Policies:0:Repositories:0=**",
        "--OciRegistry:Auth:Policies:0:Actions:0=pull",
        "--Logging:LogLevel:Microsoft.AspNetCore.Hosting.Diagnostics=Information",
    ];

    [Fact]
    public async Task The_line_of_a_request_of_a_failure_and_of_the_audit_log_has_the_id_that_the_client_was_given()
    {
        await using var server = ServerProcess.Start(string.Join(' ', Settings));
        using var client = new HttpClient { BaseAddress = await server.UntilListeningAsync() };

        // the framework's line for the request
        using var found = await client.GetAsync(new Uri("/v2/?a=%0d%0aforged", UriKind.Relative));
        var (request, of) = (IdOf(found), await server.UntilLineThatHasAsync("Request finished"));
        of.ShouldEndWith($" [request {request}]");

        // an audit line, which has it in its text: once is enough
        using var login = new HttpRequestMessage(HttpMethod.Get, "/v2/");
        login.Headers.Authorization = new AuthenticationHeaderValue(
            "Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes("robot+nobody:wrong\nforged")));
        using var denied = await client.SendAsync(login);
        denied.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        var audit = await server.UntilLineThatHasAsync("Failed login");
        audit.ShouldContain("warn: OciRegistry.Audit[");
        audit.Split(IdOf(denied)).Length.ShouldBe(2, audit);

        // a failure, in a trace: its exception is on the same line, behind that
        Directory.Move(Path.Combine(server.Folder, "data", "locks"), Path.Combine(server.Folder, "away"));
        using var pull = new HttpRequestMessage(HttpMethod.Get, "/v2/a/b/manifests/none");
        pull.Headers.Add("traceparent", $"00-{Trace}-00f067aa0ba902b7-01");
        using var failed = await client.SendAsync(pull);
        failed.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        var error = await server.UntilLineThatHasAsync("the storage failed");
        error.ShouldContain($"the storage failed. [request {IdOf(failed)} trace {Trace}] OciRegistry.Storage.StorageException");
        JsonNode.Parse(await failed.Content.ReadAsStringAsync())!["errors"]![0]!["detail"]!["requestId"]!.GetValue<string>().ShouldBe(IdOf(failed));

        server.Terminate();
        await server.UntilExitAsync();
        server.Output.Split('\n').ShouldNotContain(line => line.StartsWith("forged", StringComparison.Ordinal));
    }

    [Fact]
    public async Task JSON_logs_have_it_too()
    {
        await using var server = ServerProcess.Start(
            string.Join(' ', [.. Settings, "--Logging:Console:FormatterName=json"]));
        using var client = new HttpClient { BaseAddress = await server.UntilListeningAsync() };

        using var found = await client.GetAsync(new Uri("/v2/", UriKind.Relative));

        var line = JsonNode.Parse(await server.UntilLineThatHasAsync("Request finished"))!;
        line["Scopes"]!.AsArray().Select(scope => (scope as JsonObject)?["RequestId"]?.GetValue<string>())
            .ShouldContain(IdOf(found));
    }

    private static string IdOf(HttpResponseMessage response) => response.Headers.GetValues("X-Request-Id").Single();
}
