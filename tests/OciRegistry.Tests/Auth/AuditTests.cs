using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OciRegistry.Tests.Operations;
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
            new StringContent("{\"name\":\"ci\",\"repositories\":[\"test/**\"],\"actions\":[\"pull\"]}", new MediaTypeHeaderValue("application/json")));
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
            $"Push by user:alice-secret from 127.0.0.1 of {_repository}@{Digest.Of(manifest)} tags [v1: none -> {Digest.Of(manifest)}], request {ids["push"]}",
            $"Denied user:alice-secret from 127.0.0.1 to push in elsewhere/app, request {ids["denied"]}",
            $"Delete by user:alice-secret from 127.0.0.1 of {_repository} v1 tags [v1: {Digest.Of(manifest)} -> none], request {ids["delete"]}",
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

    [Fact]
    public async Task A_push_and_a_delete_say_what_the_tags_named_before_and_name_after()
    {
        var log = new LogCapture(LogLevel.Information);
        await using var registry = await RegistryApp.StartAsync(
            services: services => services.AddLogging(logs => logs.AddProvider(log)));
        var first = RegistryClient.EmptyIndex();
        var second = RegistryClient.ImageIndex([], artifactType: "application/example");
        var (a, b) = (Digest.Of(first), Digest.Of(second));

        await PushAsync("v1", first);
        await PushAsync("v1", second);
        await PushAsync($"{b}?tag=v1&tag=v2", second);
        await DeleteAsync("v1");
        await DeleteAsync(a.ToString());
        await DeleteAsync(b.ToString());

        log.Lines.Where(line => line.Contains("Push by", StringComparison.Ordinal) || line.Contains("Delete by", StringComparison.Ordinal))
            .Select(TagsOf).ShouldBe(
        [
            $"v1: none -> {a}",
            $"v1: {a} -> {b}",
            $"v1: {b} -> {b}, v2: none -> {b}",
            $"v1: {b} -> none",
            "",
            $"v2: {b} -> none",
        ]);

        async Task PushAsync(string reference, byte[] content)
        {
            using var pushed = await registry.Http.PutManifestAsync(_repository, reference, content, MediaTypes.ImageIndex);
            await pushed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        async Task DeleteAsync(string reference)
        {
            using var deleted = await registry.Http.DeleteAsync($"/v2/{_repository}/manifests/{reference}");
            await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }

        static string TagsOf(string line) => line.Split('[', ']')[1];
    }

    [Fact]
    public async Task A_tag_that_may_not_be_moved_is_a_denial_in_the_log_and_in_the_metrics()
    {
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Basic, ["alice"], [Allow("user:alice", "release/**", "pull", "create-only")]);
        using var alice = registry.ClientWith(Basic("alice"));
        using var created = await alice.PutManifestAsync("release/app", "v1", RegistryClient.EmptyIndex(), MediaTypes.ImageIndex);
        await created.ShouldHaveStatusAsync(HttpStatusCode.Created);
        var before = await DenialsAsync();

        using var moved = await alice.PutManifestAsync(
            "release/app", "v1", RegistryClient.ImageIndex([], artifactType: "application/example"), MediaTypes.ImageIndex);

        await moved.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        registry.App.Log.Lines.ShouldContain(line =>
            line.Contains($"Denied user:alice from 127.0.0.1 to push in release/app:v1, request {moved.Header("X-Request-Id")}"));
        (await DenialsAsync()).ShouldBe(before + 1);

        async Task<double> DenialsAsync()
        {
            var metrics = PrometheusParser.Parse(await registry.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative)));
            return metrics.Single(family => family.Name == "oci_registry_requests_denied_total")[[]];
        }
    }

    [Fact]
    public async Task What_only_administrators_may_is_called_admin()
    {
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Basic, ["alice"], [Allow("user:alice", "test/**", "pull")]);

        foreach (var path in new[] { "/admin/uploads", "/admin/upstreams" })
        {
            using var denied = await registry.SendAsync(Basic("alice"), () => new HttpRequestMessage(HttpMethod.Get, path));
            registry.App.Log.Lines.ShouldContain(line =>
                line.Contains($"Denied user:alice from 127.0.0.1 to admin in -, request {denied.Header("X-Request-Id")}"));
        }
    }

    [Theory]
    [InlineData(null, false)]
    [InlineData("other/**", false)]
    [InlineData("test/**", true)]
    [InlineData("**", true)]
    public async Task Pulls_are_logged_of_repositories_that_are_named(string? pattern, bool isLogged)
    {
        var log = new LogCapture(LogLevel.Information);
        await using var registry = await RegistryApp.StartAsync(
            options =>
            {
                if (pattern is not null)
                {
                    options.Auth.AuditPulls.Add("x/*");
                    options.Auth.AuditPulls.Add(pattern);
                }
            },
            services => services.AddLogging(logs => logs.AddProvider(log)));
        var content = RegistryClient.RandomBytes(10);
        var blob = await registry.Http.PushBlobAsync(_repository, content);
        var manifest = RegistryClient.EmptyIndex();
        using var pushed = await registry.Http.PutManifestAsync(_repository, "v1", manifest, MediaTypes.ImageIndex);

        (string Method, string Path, string? Logged)[] requests =
        [
            ("GET", "manifests/v1", $"v1 {Digest.Of(manifest)}"),
            ("GET", $"manifests/{Digest.Of(manifest)}", $"{Digest.Of(manifest)} {Digest.Of(manifest)}"),
            ("GET", $"blobs/{blob}", $"{blob} {blob}"),
            ("HEAD", $"blobs/{blob}", null), // nothing was sent
            ("HEAD", "manifests/v1", null),
            ("GET", "manifests/v2", null),
            ("GET", "tags/list", null),
            ("GET", $"referrers/{blob}", null),
        ];
        foreach (var (method, path, logged) in requests)
        {
            using var answer = await registry.Http.RequestAsync(method, $"/v2/{_repository}/{path}");
            var line = $"Pull by anonymous from 127.0.0.1 of {_repository} {logged}, request {answer.Header("X-Request-Id")}";
            if (logged is not null && isLogged)
            {
                await Until.TrueAsync(() => log.Lines.Any(said => said.Contains(line, StringComparison.Ordinal)), line);
            }
        }

        // The line of a request may come after its answer; that of the last one has come, and the others before it.
        log.Lines.Count(said => said.Contains("Pull by", StringComparison.Ordinal)).ShouldBe(isLogged ? 3 : 0);
    }
}
