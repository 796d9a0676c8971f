using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Tests.Support;
using static OciRegistry.Tests.Auth.GuardedRegistry;

namespace OciRegistry.Tests.Auth;

/// <summary>Robot accounts: made and revoked by an operator, each with what it may do.</summary>
public sealed class RobotTests : IAsyncLifetime
{
    private readonly ManualTimeProvider _time = new();
    private readonly string _repository = RegistryClient.NewRepository();
    private GuardedRegistry _registry = null!;
    private HttpClient _operator = null!;

    public async ValueTask InitializeAsync()
    {
        _registry = await GuardedRegistry.StartAsync(
            AuthMode.Several,
            ["op"],
            [Allow("user:op", "**", "admin"), Allow("robot:extra", "extra/**", "pull")],
            options => options.Auth.Robots = true,
            services => services.AddSingleton<TimeProvider>(_time));
        _operator = _registry.ClientWith(Basic("op"));
    }

    public ValueTask DisposeAsync()
    {
        _operator.Dispose();
        return _registry.DisposeAsync();
    }

    [Fact]
    public async Task A_robot_may_do_what_it_was_made_for_with_its_secret_and_with_tokens()
    {
        var secret = await CreateAsync("ci", "test/**", "pull", "push");
        using var withSecret = _registry.ClientWith(Basic("robot+ci", secret));
        using var withToken = _registry.ClientWith(Bearer(await TokenAsync("robot+ci", secret)));

        foreach (var client in (HttpClient[])[withSecret, withToken])
        {
            var blob = await client.PushBlobAsync(_repository, RegistryClient.RandomBytes(10));
            using var deleted = await client.DeleteAsync(new Uri($"/v2/{_repository}/blobs/{blob}", UriKind.Relative));
            deleted.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        }

        using var elsewhere = await withSecret.StartUploadAsync("elsewhere/app");
        elsewhere.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
    }

    [Fact]
    public async Task The_policies_may_let_a_robot_do_more()
    {
        var secret = await CreateAsync("extra", "test/**", "pull");
        using var robot = _registry.ClientWith(Basic("robot+extra", secret));

        using var answer = await robot.GetManifestAsync("extra/app", "v1");

        answer.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_robot_that_is_revoked_is_out_at_once_with_its_secret_its_tokens_and_its_uploads()
    {
        var secret = await CreateAsync("ci", "test/**", "pull", "push");
        using var withSecret = _registry.ClientWith(Basic("robot+ci", secret));
        using var withToken = _registry.ClientWith(Bearer(await TokenAsync("robot+ci", secret)));
        var location = await withToken.NewUploadAsync(_repository);
        using var before = await withSecret.GetManifestAsync(_repository, "v1");
        before.StatusCode.ShouldBe(HttpStatusCode.NotFound);

        using var revoked = await _operator.DeleteAsync(new Uri("/admin/robots/ci", UriKind.Relative));
        revoked.StatusCode.ShouldBe(HttpStatusCode.NoContent);

        using var bySecret = await withSecret.GetManifestAsync(_repository, "v1");
        using var byToken = await withToken.GetManifestAsync(_repository, "v1");
        using var upload = await withToken.PatchAsync(location, new byte[10]);
        bySecret.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        byToken.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        upload.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);

        // One of the same name is another one.
        await CreateAsync("ci", "test/**", "pull", "push");
        using var byOldToken = await withToken.GetManifestAsync(_repository, "v1");
        byOldToken.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
    }

    [Fact]
    public async Task A_robot_expires()
    {
        var secret = await CreateAsync("ci", "test/**", _time.GetUtcNow().AddMinutes(3), "pull");
        using var withSecret = _registry.ClientWith(Basic("robot+ci", secret));
        using var withToken = _registry.ClientWith(Bearer(await TokenAsync("robot+ci", secret)));
        using var before = await withSecret.GetManifestAsync(_repository, "v1");
        before.StatusCode.ShouldBe(HttpStatusCode.NotFound);

        _time.Advance(TimeSpan.FromMinutes(3));

        using var bySecret = await withSecret.GetManifestAsync(_repository, "v1");
        using var byToken = await withToken.GetManifestAsync(_repository, "v1");
        bySecret.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        byToken.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
    }

    [Fact]
    public async Task Robots_are_listed_without_their_secrets_which_are_nowhere_in_the_storage()
    {
        var secret = await CreateAsync("b", "test/**", "pull");
        await CreateAsync("a", "x/**", "pull", "delete");

        using var answer = await _operator.GetAsync(new Uri("/admin/robots", UriKind.Relative));
        var text = await answer.Content.ReadAsStringAsync();

        JsonNode.Parse(text)!["robots"]!.AsArray().Select(robot => (string)robot!["login"]!).ShouldBe(["robot+a", "robot+b"]);
        text.ShouldNotContain(secret);
        Directory.EnumerateFiles(_registry.App.Root, "*", SearchOption.AllDirectories)
            .ShouldAllBe(file => !File.ReadAllText(file).Contains(secret, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("""{"name":"Ci","repositories":["a"],"actions":["pull"]}""")]
    [InlineData("""{"name":"../ci","repositories":["a"],"actions":["pull"]}""")]
    [InlineData("""{"name":"ci","repositories":["a"],"actions":["write"]}""")]
    [InlineData("""{"name":"ci","repositories":[],"actions":["pull"]}""")]
    [InlineData("""{"name":"ci","actions":["pull"]}""")]
    [InlineData("""{"repositories":["a"],"actions":["pull"]}""")]
    [InlineData("""{"name":"ci","repositories":["a"],"actions":["pull"],"expires":"2000-01-01T00:00:00Z"}""")]
    [InlineData("""{"name":"ci","repositories":["a"],"actions":["pull"],"secret":"mine"}""")]
    [InlineData("""{"name":"ci","name":"cj","repositories":["a"],"actions":["pull"]}""")]
    [InlineData("null")]
    [InlineData("{")]
    [InlineData("")]
    public async Task What_cannot_be_a_robot_is_refused(string body)
    {
        using var answer = await _operator.PostAsync(new Uri("/admin/robots", UriKind.Relative), new StringContent(body, new MediaTypeHeaderValue("application/json")));

        await answer.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "UNSUPPORTED");
    }

    [Fact]
    public async Task A_name_is_taken_once()
    {
        await CreateAsync("ci", "test/**", "pull");

        using var again = await PostAsync("ci", "test/**", null, "pull");

        await again.ShouldBeErrorAsync(HttpStatusCode.Conflict, "UNSUPPORTED");
    }

    [Theory]
    [InlineData("robot+ci", "")]
    [InlineData("robot+ci", "ocirobot_")]
    [InlineData("robot+nobody", "ocirobot_0000")]
    [InlineData("robot+", "x")]
    [InlineData("robot+../../users", "x")]
    [InlineData("ci", "{0}")]
    [InlineData("robot:ci", "{0}")]
    public async Task Nothing_else_logs_in_as_a_robot(string name, string secret)
    {
        var right = await CreateAsync("ci", "test/**", "pull");
        using var client = _registry.ClientWith(Basic(name, string.Format(null, secret, right)));

        using var answer = await client.GetManifestAsync(_repository, "v1");

        answer.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
    }

    [Fact]
    public async Task Who_decides_is_explained_for_a_robot_too()
    {
        await CreateAsync("ci", "test/**", "pull");

        var allowed = await ExplainAsync("robot:ci", "test/app", "pull");
        var denied = await ExplainAsync("robot:ci", "test/app", "push");

        ((bool)allowed["allowed"]!).ShouldBeTrue();
        ((string)allowed["reason"]!).ShouldBe("allowed by the policy of robot 'ci' (pull in test/**)");
        ((bool)denied["allowed"]!).ShouldBeFalse();
    }

    [Theory]
    [InlineData("subject=&repository=a&action=pull")]
    [InlineData("subject=a&repository=A&action=pull")]
    [InlineData("subject=a&repository=a&action=")]
    [InlineData("subject=a&repository=a&action=write")]
    public async Task A_question_that_is_none_is_refused(string query)
    {
        using var answer = await _operator.GetAsync(new Uri($"/admin/explain?{query}", UriKind.Relative));

        await answer.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "UNSUPPORTED");
    }

    private async Task<JsonNode> ExplainAsync(string subject, string repository, string action)
    {
        using var answer = await _operator.GetAsync(
            new Uri($"/admin/explain?subject={subject}&repository={repository}&action={action}", UriKind.Relative));
        return await answer.JsonAsync();
    }

    private Task<string> CreateAsync(string name, string repositories, params string[] actions) =>
        CreateAsync(name, repositories, null, actions);

    private async Task<string> CreateAsync(string name, string repositories, DateTimeOffset? expires, params string[] actions)
    {
        using var answer = await PostAsync(name, repositories, expires, actions);
        await answer.ShouldHaveStatusAsync(HttpStatusCode.Created);
        return (string)JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["secret"]!;
    }

    private Task<HttpResponseMessage> PostAsync(
        string name, string repositories, DateTimeOffset? expires, params string[] actions) => _operator.PostAsync(
        new Uri("/admin/robots", UriKind.Relative),
        JsonContent.Create(new { name, repositories = new[] { repositories }, actions, expires }));

    private async Task<string> TokenAsync(string name, string secret)
    {
        using var client = _registry.ClientWith(Basic(name, secret));
        using var answer = await client.GetAsync(
            new Uri($"/token?scope=repository:{_repository}:pull,push,delete", UriKind.Relative));
        return (string)(await answer.JsonAsync())["token"]!;
    }
}
