using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OciRegistry.Tests.Support;
using static OciRegistry.Tests.Auth.GuardedRegistry;

namespace OciRegistry.Tests.Auth;

/// <summary>Who has done what, in the log; and what must be in none.</summary>
public sealed class AuditTests
{
    private readonly string _repository = RegistryClient.NewRepository();

    [Fact]
    public async Task Who_guesses_and_does_not_stay_for_the_answer_is_told_of_all_the_same()
    {
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Basic, ["alice"], [], options => options.Auth.FailedLoginDelay = TimeSpan.FromMinutes(1));
        await using (var raw = await RawHttp.ConnectAsync(registry.App.Url))
        {
            await raw.SendAsync($"GET /v2/ HTTP/1.1\r\nHost: a\r\nAuthorization: {Basic("alice", "guess")}\r\n\r\n");
            await Until.TrueAsync(
                () => registry.App.Log.Lines.Any(line => line.Contains("Failed login of user:alice", StringComparison.Ordinal)),
                "the guess is told of, and not answered yet");
        }
    }

    [Fact]
    public async Task Logins_denials_pushes_deletes_and_changes_are_a_line_each_and_no_secret_is_in_any_log()
    {
        var log = new LogCapture(LogLevel.Trace);
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Several,
            ["alice-secret"],
            [
                new PolicyOptions { Subjects = ["user:alice-secret"], Repositories = ["test/**"], Actions = ["pull", "push", "delete", "admin"] },
            ],
            options => options.Auth.Robots = true,
            services => services.AddLogging(logs => logs.SetMinimumLevel(LogLevel.Trace).AddProvider(log)));
        const string password = "alice-secret";
        using var alice = registry.ClientWith(Basic("alice-secret"));
        var manifest = Encoding.UTF8.GetBytes($$"""{"schemaVersion":2,"mediaType":"{{MediaTypes.ImageIndex}}","manifests":[]}""");
        var ids = new Dictionary<string, string>();

        // What an attacker types in the wrong field is not to be read later either.
        (string Name, string Password)[] tries = [("alice-secret", "wrong-secret"), ("typed-secret", "x")];
        foreach (var (name, wrong) in tries)
        {
            using var client = registry.ClientWith(Basic(name, wrong));
            using var failed = await client.GetManifestAsync(_repository, "v1");
            failed.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
            ids[name] = failed.Header("X-Request-Id")!;
        }

        using (var pushed = await alice.PutManifestAsync(_repository, "v1", manifest, MediaTypes.ImageIndex))
        {
            pushed.StatusCode.ShouldBe(HttpStatusCode.Created);
            ids["push"] = pushed.Header("X-Request-Id")!;
        }

        using (var denied = await alice.StartUploadAsync("elsewhere/app"))
        {
            denied.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
            ids["denied"] = denied.Header("X-Request-Id")!;
        }

        using (var deleted = await alice.DeleteAsync(new Uri($"/v2/{_repository}/manifests/v1", UriKind.Relative)))
        {
            deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
            ids["delete"] = deleted.Header("X-Request-Id")!;
        }

        using var robot = await alice.PostAsync(
            new Uri("/admin/robots", UriKind.Relative),
            new StringContent("{\"name\":\"ci\",\"repositories\":[\"test/**\"],\"actions\":[\"pull\"]}"));
        var secret = (string)JsonNode.Parse(await robot.Content.ReadAsStringAsync())!["secret"]!;
        ids["robot"] = robot.Header("X-Request-Id")!;
        var token = await registry.TokenAsync("alice-secret", $"repository:{_repository}:pull");
        using var withToken = registry.ClientWith(Bearer(token));
        using var pulled = await withToken.GetManifestAsync(_repository, "v1");
        using var refresh = await alice.GetAsync(new Uri("/token?offline_token=true", UriKind.Relative));
        var refreshToken = (string)(await refresh.JsonAsync())["refresh_token"]!;
        await File.AppendAllTextAsync(registry.UsersFile, "# changed\n");
        await Until.TrueAsync(() => log.Lines.Any(line => line.Contains("has changed", StringComparison.Ordinal)), "the change is seen");

        string[] expected =
        [
            $"Failed login of user:alice-secret from 127.0.0.1, request {ids["alice-secret"]}",
            $"Failed login of (no account) from 127.0.0.1, request {ids["typed-secret"]}",
            $"Login of user:alice-secret from 127.0.0.1, request {ids["push"]}",
            $"Push by user:alice-secret from 127.0.0.1 of {_repository}@{Digest.Of(manifest)} tags [v1], request {ids["push"]}",
            $"Denied user:alice-secret from 127.0.0.1 to push in elsewhere/app, request {ids["denied"]}",
            $"Delete by user:alice-secret from 127.0.0.1 of v1 in {_repository}, request {ids["delete"]}",
            $"created robot ci by user:alice-secret from 127.0.0.1, request {ids["robot"]}",
        ];
        foreach (var line in expected)
        {
            log.Lines.Count(logged => logged.Contains(line, StringComparison.Ordinal)).ShouldBe(1, line);
        }

        var all = string.Join('\n', log.Lines).Replace($"user:{password}", "", StringComparison.Ordinal);
        string[] secrets =
        [
            password, "wrong-secret", "typed-secret", secret, token, token.Split('.')[2], refreshToken, refreshToken.Split('.')[2],
            Basic("alice-secret").Parameter!, File.ReadAllLines(registry.UsersFile)[0].Split(':')[1],
        ];
        log.Lines.Count.ShouldBeGreaterThan(50);
        foreach (var never in secrets)
        {
            all.ShouldNotContain(never);
        }
    }
}
