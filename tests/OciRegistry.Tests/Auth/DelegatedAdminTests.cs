using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Tests.Support;
using static OciRegistry.Tests.Auth.GuardedRegistry;

namespace OciRegistry.Tests.Auth;

/// <summary>
/// The action <c>admin</c> in a pattern: its subject administers the repositories of that pattern, gives away what it has there
/// itself, and finds nothing of the others.
/// </summary>
public sealed class DelegatedAdminTests : IAsyncLifetime
{
    private readonly ManualTimeProvider _time = new();
    private GuardedRegistry _registry = null!;
    private HttpClient _operator = null!;
    private HttpClient _lead = null!;

    public async ValueTask InitializeAsync()
    {
        _registry = await GuardedRegistry.StartAsync(
            AuthMode.Several,
            ["op", "lead", "dev"],
            [
                Allow("user:op", "**", "pull", "push", "admin"),
                Allow("user:lead", "team-a/**", "pull", "create-only", "admin"),
                Allow("user:lead", "team-a/own/*", "push"),
                Allow("user:lead", "shared/**", "pull", "push"),
                Allow("user:dev", "team-a/**", "pull"),
                new PolicyOptions { Name = "both", Subjects = ["user:dev"], Repositories = ["team-a/x", "team-b/x"], Actions = ["push"] },
                Allow("user:dev", "team-b/**", "delete"),
                Allow("robot:release", "release/**", "push"),
                Allow("robot:reader", "shared/**", "pull"),
            ],
            options => options.Auth.Robots = true,
            services => services.AddSingleton<TimeProvider>(_time));
        _operator = _registry.ClientWith(Basic("op"));
        _lead = _registry.ClientWith(Basic("lead"));
    }

    public ValueTask DisposeAsync()
    {
        _operator.Dispose();
        _lead.Dispose();
        return _registry.DisposeAsync();
    }

    [Theory]
    [InlineData("team-a/**", "pull")]
    [InlineData("team-a/*", "pull", "create-only")]
    [InlineData("team-a/app", "create-only")]
    [InlineData("team-a/**", "admin")]
    [InlineData("team-a/own/*", "push", "admin")]
    public async Task A_robot_within_the_pattern_and_the_actions_is_made_seen_and_revoked(string pattern, params string[] actions)
    {
        await CreateAsync(_lead, "ci", [pattern], actions);

        (await RobotsAsync(_lead)).ShouldBe(["ci by user:lead"]);
        (await RobotsAsync(_operator)).ShouldBe(["ci by user:lead"]);
        (await RevokeAsync(_lead, "ci")).ShouldBe(HttpStatusCode.NoContent);
        (await RobotsAsync(_operator)).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("**", "pull")] // what the right once gave
    [InlineData("**", "pull", "push", "delete", "admin")]
    [InlineData("team-b/**", "pull")]
    [InlineData("team-a", "pull")]
    [InlineData("team-a*/**", "pull")]
    [InlineData("**/app", "pull")]
    [InlineData("team-a/**", "delete")]
    [InlineData("team-a/**", "push")] // may create tags, and move none
    [InlineData("team-a/own/**", "push")] // one level alone
    [InlineData("shared/app", "pull")] // may pull there, and administers nothing
    public async Task A_robot_with_more_than_the_maker_has_is_denied(string pattern, params string[] actions)
    {
        foreach (string[] patterns in new[] { [pattern], new[] { "team-a/app", pattern } })
        {
            using var denied = await PostAsync(_lead, "ci", patterns, actions);
            await denied.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        }

        (await RobotsAsync(_operator)).ShouldBeEmpty();
        _registry.App.Log.Lines.ShouldContain(line => line.Contains("Denied user:lead from 127.0.0.1 to admin in robot:ci"));
    }

    [Theory]
    [InlineData("release", false)] // a policy lets a robot of this name push below release
    [InlineData("reader", true)] // what a policy gives this one, the maker has as well
    public async Task A_name_to_which_a_policy_gives_more_is_denied(string name, bool isMade)
    {
        using var answer = await PostAsync(_lead, name, ["team-a/**"], ["pull"]);

        answer.StatusCode.ShouldBe(isMade ? HttpStatusCode.Created : HttpStatusCode.Forbidden);
    }

    [Theory]
    [InlineData("team-b/**", "pull")]
    [InlineData("**", "pull")]
    [InlineData("team-a/**", "delete")]
    public async Task A_robot_that_the_caller_could_not_make_does_not_exist_for_it(string pattern, string action)
    {
        await CreateAsync(_operator, "theirs", [pattern], action);
        await CreateAsync(_operator, "both", ["team-a/**", pattern], action);
        await CreateAsync(_operator, "release", ["team-a/**"], "pull");
        await CreateAsync(_lead, "ci", ["team-a/**"], "pull");

        (await RobotsAsync(_lead)).ShouldBe(["ci by user:lead"]);
        foreach (var name in new[] { "theirs", "both", "release", "nobody" })
        {
            using var answer = await _lead.DeleteAsync($"/admin/robots/{name}");
            await answer.ShouldBeErrorAsync(HttpStatusCode.NotFound, "UNSUPPORTED");
        }

        (await RobotsAsync(_operator)).Count.ShouldBe(4);
    }

    [Fact]
    public async Task A_name_that_is_taken_elsewhere_stays_what_it_is()
    {
        var secret = await CreateAsync(_operator, "ci", ["team-b/**"], "push");

        using var taken = await PostAsync(_lead, "ci", ["team-a/**"], ["pull"]);

        await taken.ShouldBeErrorAsync(HttpStatusCode.Conflict, "UNSUPPORTED");
        using var robot = _registry.ClientWith(Basic("robot+ci", secret));
        using var pushed = await robot.StartUploadAsync("team-b/app");
        await pushed.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
    }

    [Fact]
    public async Task A_page_is_full_whatever_lies_between()
    {
        for (var i = 0; i < 5; i++)
        {
            await CreateAsync(_operator, $"r{i}-other", ["team-b/**"], "pull");
            await CreateAsync(_lead, $"r{i}-own", ["team-a/**"], "pull");
        }

        var pages = new List<int>();
        var names = new List<string>();
        for (string? next = "/admin/robots?n=2"; next is not null;)
        {
            using var page = await _lead.GetAsync(new Uri(next, UriKind.Relative));
            var robots = (await page.JsonAsync())["robots"]!.AsArray();
            pages.Add(robots.Count);
            names.AddRange(robots.Select(robot => (string)robot!["name"]!));
            next = page.NextPage();
            next?.ShouldNotContain("other");
        }

        pages.ShouldBe([2, 2, 1]);
        names.ShouldBe(["r0-own", "r1-own", "r2-own", "r3-own", "r4-own"]);
    }

    [Fact]
    public async Task A_robot_with_admin_makes_robots_within_its_own_pattern_that_end_with_it()
    {
        var end = _time.GetUtcNow().AddDays(1);
        var secret = await CreateAsync(_lead, "boss", ["team-a/own/*"], end, "push", "admin");
        using var boss = _registry.ClientWith(Basic("robot+boss", secret));
        using var withToken = _registry.ClientWith(Bearer(await TokenAsync(boss)));

        foreach (var client in new[] { boss, withToken })
        {
            using var wider = await PostAsync(client, "ci", ["team-a/**"], ["push"], end);
            wider.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
            using var forEver = await PostAsync(client, "ci", ["team-a/own/app"], ["push"]);
            forEver.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
            using var longer = await PostAsync(client, "ci", ["team-a/own/app"], ["push"], end.AddSeconds(1));
            longer.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        }

        await CreateAsync(withToken, "ci", ["team-a/own/app"], end, "push");
        (await RobotsAsync(_lead)).ShouldBe(["boss by user:lead", "ci by robot:boss"]);
        _time.Advance(TimeSpan.FromDays(1));
        using var late = await PostAsync(boss, "late", ["team-a/own/app"], ["push"], end);
        late.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
    }

    [Fact]
    public async Task Rights_that_are_taken_away_count_at_once_and_robots_show_who_has_made_them()
    {
        using var folder = new AuthFolder();
        SetRights("\"pull\", \"create-only\", \"admin\"");
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Basic,
            ["op", "lead"],
            [Allow("user:op", "**", "admin")],
            options => (options.Auth.Robots, options.Auth.PolicyFile) = (true, folder.PolicyFile));
        using var op = registry.ClientWith(Basic("op"));
        using var lead = registry.ClientWith(Basic("lead"));
        await CreateAsync(lead, "pusher", ["team-a/**"], "create-only");
        await CreateAsync(lead, "puller", ["team-a/**"], "pull");

        SetRights("\"pull\", \"admin\"");
        registry.RefreshFiles();
        (await RobotsAsync(lead)).ShouldBe(["puller by user:lead"]);
        using var more = await PostAsync(lead, "another", ["team-a/**"], ["create-only"]);
        more.StatusCode.ShouldBe(HttpStatusCode.Forbidden);

        SetRights("\"pull\"");
        registry.RefreshFiles();
        using var none = await lead.GetAsync(new Uri("/admin/robots", UriKind.Relative));
        await none.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        (await RobotsAsync(op)).ShouldBe(["puller by user:lead", "pusher by user:lead"]);

        void SetRights(string actions) => folder.SetPolicies(
            $$"""{ "policies": [{ "subjects": ["user:lead"], "repositories": ["team-a/**"], "actions": [{{actions}}] }] }""");
    }

    /// <summary>Else nobody of the team could revoke a robot whose secret has leaked, from the day on which all robots may pull base images.</summary>
    [Fact]
    public async Task What_policies_give_a_robot_besides_takes_it_from_nobody_who_made_it()
    {
        using var folder = new AuthFolder();
        const string lead = """{ "subjects": ["user:lead"], "repositories": ["team-a/**"], "actions": ["pull", "admin"] }""";
        folder.SetPolicies($$"""{ "policies": [{{lead}}] }""");
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Basic, ["lead"], [], options => (options.Auth.Robots, options.Auth.PolicyFile) = (true, folder.PolicyFile));
        using var client = registry.ClientWith(Basic("lead"));
        await CreateAsync(client, "puller", ["team-a/**"], "pull");
        folder.SetPolicies(
            $$"""{ "policies": [{{lead}}, { "subjects": ["robot:**"], "repositories": ["base/**"], "actions": ["pull"] }] }""");
        registry.RefreshFiles();

        (await RobotsAsync(client)).ShouldBe(["puller by user:lead"]);
        using var made = await PostAsync(client, "another", ["team-a/**"], ["pull"]);
        made.StatusCode.ShouldBe(HttpStatusCode.Forbidden); // whose secret would be the way to more
        using var revoked = await client.DeleteAsync(new Uri("/admin/robots/puller", UriKind.Relative));
        revoked.StatusCode.ShouldBe(HttpStatusCode.NoContent);
    }

    [Fact]
    public async Task A_robot_has_a_bounded_number_of_patterns()
    {
        string[] patterns = [.. Enumerable.Range(0, 65).Select(i => $"team-a/{i}/*")];
        using var refused = await PostAsync(_lead, "many", patterns, ["pull"]);
        await refused.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "UNSUPPORTED");
        using var made = await PostAsync(_lead, "some", patterns[1..], ["pull"]);
        made.StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Fact]
    public async Task Uploads_to_other_repositories_are_neither_seen_nor_ended()
    {
        var own = SessionOf(await _operator.NewUploadAsync("team-a/app"));
        var other = SessionOf(await _operator.NewUploadAsync("team-b/app"));

        using var listed = await _lead.GetAsync(new Uri("/admin/uploads", UriKind.Relative));
        (await listed.JsonAsync())["uploads"]!.AsArray().Select(upload => (string)upload!["session"]!).ShouldBe([own]);
        using var shown = await _lead.GetAsync(new Uri($"/admin/uploads/{own}", UriKind.Relative));
        await shown.ShouldHaveStatusAsync(HttpStatusCode.OK);
        foreach (var method in new[] { "GET", "DELETE" })
        {
            using var hidden = await _lead.SendAsync(new HttpRequestMessage(new HttpMethod(method), $"/admin/uploads/{other}"));
            await hidden.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
        }

        using var ended = await _lead.DeleteAsync($"/admin/uploads/{own}");
        ended.StatusCode.ShouldBe(HttpStatusCode.NoContent);
        using var left = await _operator.GetAsync(new Uri("/admin/uploads", UriKind.Relative));
        (await left.JsonAsync())["uploads"]!.AsArray().Select(upload => (string)upload!["session"]!).ShouldBe([other]);
    }

    [Fact]
    public async Task An_explanation_is_of_own_repositories_and_tells_of_no_others()
    {
        var pull = await ExplainAsync(_lead, "user:dev", "team-a/x", "push");
        ((string)pull["reason"]!).ShouldBe("allowed by policy 5 of the settings 'both' (push in team-a/x)");
        var delete = await ExplainAsync(_lead, "user:dev", "team-a/x", "delete");
        ((string)delete["reason"]!).ShouldBe(
            "denied: nothing allows it; the rules for user:dev in this repository are policy 4 of the settings (pull in team-a/**); "
            + "policy 5 of the settings 'both' (push in team-a/x)");
        var release = await ExplainAsync(_lead, "robot:release", "team-a/x", "push");
        ((string)release["reason"]!).ShouldBe("denied: nothing allows it; no rule names robot:release in this repository");
        ((string)(await ExplainAsync(_operator, "user:dev", "team-a/x", "delete"))["reason"]!).ShouldContain("delete in team-b/**");

        using var elsewhere = await _lead.GetAsync(Question("user:dev", "team-b/x", "pull"));
        await elsewhere.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        using var everywhere = await _lead.GetAsync(Question("user:op", "**", "admin"));
        await everywhere.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "UNSUPPORTED");
        ((bool)(await ExplainAsync(_lead, "user:lead", "team-a/x", "admin"))["allowed"]!).ShouldBeTrue();
        ((bool)(await ExplainAsync(_operator, "user:lead", "**", "admin"))["allowed"]!).ShouldBeFalse();
        ((bool)(await ExplainAsync(_operator, "user:op", "**", "admin"))["allowed"]!).ShouldBeTrue();
    }

    [Theory]
    [InlineData("GET", "/admin/upstreams")]
    [InlineData("POST", "/admin/prefetch")]
    public async Task All_else_is_for_operators(string method, string path)
    {
        using var denied = await _lead.SendAsync(new HttpRequestMessage(new HttpMethod(method), path));

        await denied.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        (await denied.Content.ReadAsStringAsync()).ShouldContain("user:lead is not an operator");
    }

    private static string SessionOf(string location) => location.Split('?')[0].Split('/').Last();

    private static Uri Question(string subject, string repository, string action) =>
        new($"/admin/explain?subject={subject}&repository={repository}&action={action}", UriKind.Relative);

    private static async Task<JsonNode> ExplainAsync(HttpClient client, string subject, string repository, string action)
    {
        using var answer = await client.GetAsync(Question(subject, repository, action));
        return await answer.JsonAsync();
    }

    private static async Task<IReadOnlyList<string>> RobotsAsync(HttpClient client)
    {
        using var answer = await client.GetAsync(new Uri("/admin/robots", UriKind.Relative));
        return [.. (await answer.JsonAsync())["robots"]!.AsArray().Select(robot => $"{robot!["name"]} by {robot["createdBy"]}")];
    }

    private static async Task<HttpStatusCode> RevokeAsync(HttpClient client, string name)
    {
        using var answer = await client.DeleteAsync($"/admin/robots/{name}");
        return answer.StatusCode;
    }

    private static Task<string> CreateAsync(HttpClient client, string name, string[] repositories, params string[] actions) =>
        CreateAsync(client, name, repositories, null, actions);

    private static async Task<string> CreateAsync(
        HttpClient client, string name, string[] repositories, DateTimeOffset? expires, params string[] actions)
    {
        using var answer = await PostAsync(client, name, repositories, actions, expires);
        await answer.ShouldHaveStatusAsync(HttpStatusCode.Created);
        return (string)JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["secret"]!;
    }

    private static Task<HttpResponseMessage> PostAsync(
        HttpClient client, string name, string[] repositories, string[] actions, DateTimeOffset? expires = null) =>
        client.PostAsync(new Uri("/admin/robots", UriKind.Relative), JsonContent.Create(new { name, repositories, actions, expires }));

    private static async Task<string> TokenAsync(HttpClient client)
    {
        using var answer = await client.GetAsync(new Uri("/token?scope=registry:admin:*", UriKind.Relative));
        return (string)(await answer.JsonAsync())["token"]!;
    }
}
