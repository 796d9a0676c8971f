using System.Net.Http.Headers;
using OciRegistry.PullThrough;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>How the registry shows an upstream who it is.</summary>
public sealed class UpstreamAuthenticationTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.AddImage("a", "1");
        _upstream.AddImage("b", "1");
    }

    public ValueTask DisposeAsync() => _upstream.DisposeAsync();

    [Fact]
    public async Task A_token_is_fetched_once_for_each_repository()
    {
        _upstream.RequireBearer(service: "the service");
        using var client = _upstream.Client();

        foreach (var repository in new[] { "a", "a", "b", "a" })
        {
            (await client.OutcomeAsync(repository)).ShouldBe(UpstreamOutcome.Found);
        }

        _upstream.Calls.Where(call => call.Path == "/token").Select(call => call.Query).ShouldBe(
        [
            "?service=the%20service&scope=repository%3Aa%3Apull",
            "?service=the%20service&scope=repository%3Ab%3Apull",
        ]);
        _upstream.Count("GET", "/manifests/1").ShouldBe(6);
    }

    [Fact]
    public async Task The_scope_is_that_of_the_request_whatever_the_challenge_says()
    {
        Challenge($"Bearer realm=\"{_upstream.Url}token\",scope=\"registry:catalog:* repository:other:delete\"");
        using var client = _upstream.Client();

        await client.OutcomeAsync();

        _upstream.Calls.Single(call => call.Path == "/token").Query.ShouldBe("?scope=repository%3Aa%3Apull");
    }

    [Fact]
    public async Task Name_and_password_go_to_the_token_service_and_nowhere_else()
    {
        _upstream.RequireBearer("somebody", "secret");
        using var client = _upstream.Client(SetPassword);

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);

        var asked = _upstream.Calls.Single(call => call.Path == "/token");
        asked.Authorization.ShouldBe(FakeTokens.BasicOf("somebody", "secret"));
        asked.Query.ShouldEndWith("&account=somebody");
        _upstream.Calls.Where(call => call.Path != "/token").ShouldAllBe(call => call.Authorization == null || call.Authorization.StartsWith("Bearer "));
    }

    [Fact]
    public async Task Requests_at_the_same_time_share_one_token()
    {
        _upstream.RequireBearer();
        var held = new TaskCompletionSource();
        _upstream.Faults = call => call.Path == "/token" ? new UpstreamFault { Before = () => held.Task } : null;
        using var client = _upstream.Client();
        using var cancel = new CancellationTokenSource();

        var first = client.GetAsync("a", "manifests/1", cancel.Token);
        await Until.TrueAsync(() => _upstream.Count("GET", "/token") == 1, "the token is asked for");
        var others = Enumerable.Range(0, 20).Select(_ => client.OutcomeAsync()).ToArray();
        await Until.TrueAsync(() => _upstream.Count("GET", "/manifests/1") == 21, "all wait for it");
        await cancel.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => first);
        held.SetResult();

        (await Task.WhenAll(others)).ShouldAllBe(outcome => outcome == UpstreamOutcome.Found);
        _upstream.Tokens.Issued.ShouldBe(1);
    }

    [Fact]
    public async Task A_token_that_is_not_taken_any_more_is_fetched_anew()
    {
        _upstream.RequireBearer();
        using var client = _upstream.Client();
        await client.OutcomeAsync();
        _upstream.Tokens.EndAll();

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);

        _upstream.Tokens.Issued.ShouldBe(2);
    }

    [Fact]
    public async Task A_token_is_used_for_an_hour_at_most_however_long_it_is_said_to_be_good()
    {
        var time = new ManualTimeProvider();
        (_upstream.Tokens.Time, _upstream.Tokens.Lifetime) = (time, TimeSpan.FromDays(3_650));
        _upstream.RequireBearer();
        using var client = _upstream.Client(time: time);
        await client.OutcomeAsync();
        time.Advance(TimeSpan.FromMinutes(53));
        await client.OutcomeAsync();
        _upstream.Tokens.Issued.ShouldBe(1);

        time.Advance(TimeSpan.FromMinutes(2));
        await client.OutcomeAsync();
        _upstream.Tokens.Issued.ShouldBe(2);
    }

    [Theory]
    [InlineData(false, 53, 1)]
    [InlineData(false, 55, 2)]
    [InlineData(true, 269, 1)]
    [InlineData(true, 271, 2)]
    public async Task A_token_is_used_until_shortly_before_its_end_which_is_after_a_minute_when_nobody_tells(
        bool isTold, int seconds, int issued)
    {
        var time = new ManualTimeProvider();
        (_upstream.Tokens.Time, _upstream.Tokens.TellsLifetime) = (time, isTold);
        _upstream.RequireBearer();
        using var client = _upstream.Client(time: time);
        await client.OutcomeAsync();
        time.Advance(TimeSpan.FromSeconds(seconds));

        await client.OutcomeAsync();

        _upstream.Tokens.Issued.ShouldBe(issued);
    }

    [Fact]
    public async Task Basic_is_answered_once_and_then_sent_at_once()
    {
        _upstream.RequireBasic("somebody", "secret");
        using var client = _upstream.Client(SetPassword);

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
        (await client.OutcomeAsync("b")).ShouldBe(UpstreamOutcome.Found);

        _upstream.Calls.Select(call => call.Authorization is not null).ShouldBe([false, true, true]);
    }

    [Fact]
    public async Task A_refresh_token_is_posted_to_the_token_service()
    {
        _upstream.RequireBearer();
        _upstream.Tokens.RefreshToken = "r+/= &";
        using var client = _upstream.Client(options => options.RefreshToken = "r+/= &");

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);

        _upstream.Calls.Single(call => call.Path == "/token").ShouldSatisfyAllConditions(
            call => call.Method.ShouldBe("POST"),
            call => call.Query.ShouldBe(""),
            call => call.Authorization.ShouldBeNull());
    }

    [Fact]
    public async Task A_token_of_the_settings_is_sent_as_it_is_and_no_other_is_asked_for()
    {
        _upstream.RequireBearer();
        using var client = _upstream.Client(options => options.Token = "abc");

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Denied);

        _upstream.Calls.ShouldHaveSingleItem().Authorization.ShouldBe("Bearer abc");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Credentials_that_are_not_taken_are_sent_once_and_named_nowhere(bool isBearer)
    {
        if (isBearer)
        {
            _upstream.RequireBearer("somebody", "another");
        }
        else
        {
            _upstream.RequireBasic("somebody", "another");
        }

        using var client = _upstream.Client(SetPassword);

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.Outcome.ShouldBe(UpstreamOutcome.Denied);
        answer.Problem!.ShouldNotContain("secret");
        _upstream.Calls.Count.ShouldBe(2);
    }

    [Fact]
    public async Task A_token_that_is_not_enough_is_not_fetched_again_and_again()
    {
        Challenge($"Bearer realm=\"{_upstream.Url}token\"");
        using var client = _upstream.Client();

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Denied);

        _upstream.Calls.Select(call => call.Path).ShouldBe(["/v2/a/manifests/1", "/token", "/v2/a/manifests/1"]);
    }

    [Theory]
    [InlineData("Bearer realm={0},service=s")]
    [InlineData("bearer REALM = \"{0}\" , service=\"s\"")]
    [InlineData("Basic realm=\"x\", Bearer service=\"s\",realm=\"{0}\"")]
    [InlineData("Negotiate abc==, Bearer realm=\"{0}\",error=\"a \\\"quoted\\\", text\",service=s")]
    [InlineData("=,,\"\", Bearer realm=\"{0}\",service=\"s")]
    public async Task A_challenge_is_understood_however_it_is_written(string challenge)
    {
        Challenge(challenge.Replace("{0}", $"{_upstream.Url}token", StringComparison.Ordinal));
        using var client = _upstream.Client();

        await client.OutcomeAsync();

        _upstream.Calls.Single(call => call.Path == "/token").Query.ShouldBe("?service=s&scope=repository%3Aa%3Apull");
    }

    [Theory]
    [InlineData(500, nameof(UpstreamOutcome.Down))]
    [InlineData(429, nameof(UpstreamOutcome.Limited))]
    [InlineData(403, nameof(UpstreamOutcome.Denied))]
    [InlineData(307, nameof(UpstreamOutcome.Down))]
    public async Task A_token_service_that_gives_none_is_answered_for(int status, string outcome)
    {
        _upstream.RequireBearer();
        _upstream.Faults = call => call.Path == "/token"
            ? new UpstreamFault { Status = status, RedirectsTo = status == 307 ? "/elsewhere" : null }
            : null;
        using var client = _upstream.Client();

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.Outcome.ToString().ShouldBe(outcome);
        answer.Problem.ShouldBe($"The token service '{_upstream.Host}' answered {status}.");
        _upstream.Count("GET", "/elsewhere").ShouldBe(0);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{\"token\":7}")]
    [InlineData("{\"token\":\"a\\r\\nX-Injected: 1\"}")]
    [InlineData("{\"token\":\"\"}")]
    public async Task An_answer_without_a_token_is_none(string body)
    {
        _upstream.RequireBearer();
        _upstream.Faults = call => call.Path == "/token" ? new UpstreamFault { Body = System.Text.Encoding.UTF8.GetBytes(body) } : null;
        using var client = _upstream.Client();

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Down);
    }

    [Fact]
    public async Task Tokens_that_are_kept_are_no_more_than_a_thousand()
    {
        var tokens = new UpstreamTokens(TimeProvider.System);
        for (var i = 0; i < 3_000; i++)
        {
            var token = new UpstreamTokens.Token(new AuthenticationHeaderValue("Bearer", $"t{i}"), DateTimeOffset.UtcNow.AddHours(1));
            await tokens.GetAsync($"s{i}", null, () => Task.FromResult(token), default);
            tokens.Find($"s{i}").ShouldNotBeNull();
        }

        tokens.Count.ShouldBeInRange(1, UpstreamTokens.MaxCount);
    }

    private static void SetPassword(UpstreamOptions options) => (options.Username, options.Password) = ("somebody", "secret");

    private void Challenge(string challenge) => _upstream.Faults = call => call.Path == "/token"
        ? null
        : new UpstreamFault { Status = 401, Headers = { ["WWW-Authenticate"] = challenge } };
}
