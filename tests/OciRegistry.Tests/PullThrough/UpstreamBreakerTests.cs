using System.Globalization;
using OciRegistry.PullThrough;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>An upstream that is broken, or says that it has too much to do, is left alone (R2.4).</summary>
public sealed class UpstreamBreakerTests : IAsyncLifetime
{
    private readonly ManualTimeProvider _time = new();
    private FakeUpstream _upstream = null!;
    private UpstreamClient _client = null!;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.AddImage("a", "1");
        _client = _upstream.Client(time: _time);
    }

    public ValueTask DisposeAsync()
    {
        _client.Dispose();
        return _upstream.DisposeAsync();
    }

    [Fact]
    public async Task Three_failures_in_a_row_are_the_last_for_a_second()
    {
        await BreakAsync();
        _client.Health.State.ShouldBe(UpstreamState.Open);
        _client.Health.Until.ShouldBe(_time.GetUtcNow() + TimeSpan.FromSeconds(1));

        using var answer = await _client.GetAsync("a", "manifests/1");

        (answer.Outcome, answer.RetryAfter).ShouldBe((UpstreamOutcome.Down, TimeSpan.FromSeconds(1)));
        answer.Problem.ShouldBe("The upstream 'hub' answered 500.");
        _upstream.Calls.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(500, null)]
    [InlineData(429, "1")]
    public async Task A_clock_that_is_set_back_lengthens_no_break(int status, string? retryAfter)
    {
        _upstream.Faults = _ => new UpstreamFault { Status = status, RetryAfter = retryAfter };
        for (var i = 0; i < 3; i++)
        {
            await _client.OutcomeAsync();
        }

        _upstream.Faults = null;
        _time.TurnBack(TimeSpan.FromDays(1));
        _client.Health.Until.ShouldBe(_time.GetUtcNow() + TimeSpan.FromSeconds(1));
        _time.Advance(TimeSpan.FromSeconds(1));

        (await _client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
        _client.Health.State.ShouldBe(UpstreamState.Closed);
    }

    [Fact]
    public async Task The_break_doubles_up_to_two_minutes_while_the_upstream_stays_broken()
    {
        await BreakAsync();
        foreach (var seconds in new[] { 1, 2, 4, 8, 16, 32, 64, 120, 120 })
        {
            _client.Health.Until.ShouldBe(_time.GetUtcNow() + TimeSpan.FromSeconds(seconds));
            _time.Advance(TimeSpan.FromSeconds(seconds - 0.1));
            await _client.OutcomeAsync();
            _upstream.Calls.ShouldBeEmpty();
            _time.Advance(TimeSpan.FromSeconds(0.1));
            await _client.OutcomeAsync();
            _upstream.Calls.ShouldHaveSingleItem();
            _upstream.ForgetCalls();
        }
    }

    [Fact]
    public async Task One_request_sees_whether_it_is_back_while_the_others_are_answered_at_once()
    {
        await BreakAsync();
        var held = new TaskCompletionSource();
        _upstream.Faults = _ => new UpstreamFault { Before = () => held.Task };
        _time.Advance(TimeSpan.FromSeconds(1));
        var first = _client.OutcomeAsync();
        await Until.TrueAsync(() => _upstream.Calls.Count == 1, "one request is through");
        _client.Health.State.ShouldBe(UpstreamState.HalfOpen);

        (await _client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Down);
        held.SetResult();

        (await first).ShouldBe(UpstreamOutcome.Found);
        _client.Health.State.ShouldBe(UpstreamState.Closed);
        (await _client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
        _upstream.Calls.Count.ShouldBe(2);
    }

    [Fact]
    public async Task An_upstream_that_was_back_begins_with_the_shortest_break_again()
    {
        await BreakAsync();
        _time.Advance(TimeSpan.FromSeconds(1));
        await _client.OutcomeAsync();
        _time.Advance(TimeSpan.FromSeconds(2));
        _upstream.Faults = null;
        (await _client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);

        await BreakAsync();

        _client.Health.Until.ShouldBe(_time.GetUtcNow() + TimeSpan.FromSeconds(1));
    }

    [Fact]
    public async Task A_cancelled_request_counts_as_nothing()
    {
        await BreakAsync();
        _upstream.Faults = _ => new UpstreamFault { Before = () => Task.Delay(Timeout.Infinite) };
        _time.Advance(TimeSpan.FromSeconds(1));
        using var cancel = new CancellationTokenSource();
        var trial = _client.GetAsync("a", "manifests/1", cancel.Token);
        await Until.TrueAsync(() => _upstream.Calls.Count == 1, "one request is through");

        await cancel.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => trial);

        // Neither closed nor open for longer: the next one is the one that sees.
        _client.Health.State.ShouldBe(UpstreamState.HalfOpen);
        _upstream.Faults = _ => new UpstreamFault { Status = 500 };
        await _client.OutcomeAsync();
        _upstream.Calls.Count.ShouldBe(2);
        _client.Health.Until.ShouldBe(_time.GetUtcNow() + TimeSpan.FromSeconds(2));
    }

    [Theory]
    [InlineData(404)]
    [InlineData(403)]
    [InlineData(400)]
    public async Task An_answer_of_a_working_server_ends_the_row_of_failures(int status)
    {
        foreach (var answer in new[] { 500, 500, status, 500, 502, status })
        {
            _upstream.Faults = _ => new UpstreamFault { Status = answer };
            await _client.OutcomeAsync();
        }

        _client.Health.State.ShouldBe(UpstreamState.Closed);
        _upstream.Calls.Count.ShouldBe(6);
    }

    [Fact]
    public async Task A_busy_upstream_that_fails_is_left_alone_for_all_its_successes_before()
    {
        for (var i = 0; i < 100; i++)
        {
            await _client.OutcomeAsync();
        }

        await BreakAsync();

        _client.Health.State.ShouldBe(UpstreamState.Open);
    }

    [Theory]
    [InlineData("7", 7)]
    [InlineData(null, 30)]
    [InlineData("0", 1)]
    [InlineData("999999", 3600)]
    [InlineData("soon", 30)]
    public async Task A_429_leaves_the_upstream_alone_at_once_as_long_as_it_says(string? retryAfter, int seconds)
    {
        _upstream.Faults = _ => new UpstreamFault { Status = 429, RetryAfter = retryAfter };
        (await _client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Limited);
        _upstream.Faults = null;
        _time.Advance(TimeSpan.FromSeconds(seconds - 0.5));

        using var answer = await _client.GetAsync("a", "manifests/1");
        (answer.Outcome, answer.RetryAfter).ShouldBe((UpstreamOutcome.Limited, TimeSpan.FromSeconds(0.5)));
        (_client.Health.State, _client.Health.Until).ShouldBe((UpstreamState.Limited, _time.GetUtcNow() + TimeSpan.FromSeconds(0.5)));
        _upstream.Calls.ShouldHaveSingleItem();

        _time.Advance(TimeSpan.FromSeconds(0.5));
        (await _client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
        _client.Health.State.ShouldBe(UpstreamState.Closed);
    }

    [Theory]
    [InlineData("GET", "manifests/1")]
    [InlineData("HEAD", "manifests/1")]
    [InlineData("HEAD", "blobs/x")]
    [InlineData("GET", "blobs/x")]
    [InlineData("GET", "tags/list?n=1")]
    public async Task A_429_stops_requests_of_its_kind_and_no_others(string method, string resource)
    {
        (string Method, string Resource)[] all =
        [
            ("GET", "manifests/2"), ("HEAD", "manifests/2"), ("HEAD", "blobs/y"), ("GET", "blobs/y"), ("GET", "tags/list?n=2"), ("GET", "referrers/y"),
        ];
        _upstream.Faults = _ => new UpstreamFault { Status = 429, RetryAfter = "60" };
        (await OutcomeAsync(method, resource)).ShouldBe(UpstreamOutcome.Limited);
        _upstream.Faults = null;
        _upstream.ForgetCalls();

        foreach (var other in all)
        {
            var isOfKind = method == "HEAD" ? other.Method == "HEAD"
                : other.Method == "GET"
                    && (other.Resource.Split('/')[0] == resource.Split('/')[0]
                        || (resource.StartsWith("tags", StringComparison.Ordinal) && other.Resource == "referrers/y"));
            (await OutcomeAsync(other.Method, other.Resource) == UpstreamOutcome.Limited).ShouldBe(isOfKind, $"{other}");
        }

        _client.Health.State.ShouldBe(UpstreamState.Limited);
        _upstream.Count(_ => true).ShouldBe(method == "HEAD" || resource.StartsWith("tags", StringComparison.Ordinal) ? 4 : 5);
    }

    [Fact]
    public async Task Each_kind_has_the_time_of_its_own_429()
    {
        _upstream.Faults = call => new UpstreamFault { Status = 429, RetryAfter = call.Method == "GET" ? "100" : "10" };
        await OutcomeAsync("GET", "manifests/1");
        await OutcomeAsync("HEAD", "manifests/1");
        _upstream.Faults = null;
        _time.Advance(TimeSpan.FromSeconds(10));

        (await OutcomeAsync("HEAD", "manifests/1")).ShouldBe(UpstreamOutcome.Found);
        (await OutcomeAsync("GET", "manifests/1")).ShouldBe(UpstreamOutcome.Limited);
        _client.Health.Until.ShouldBe(_time.GetUtcNow() + TimeSpan.FromSeconds(90));
    }

    [Fact]
    public async Task A_503_with_a_time_stops_requests_of_all_kinds()
    {
        _upstream.Faults = _ => new UpstreamFault { Status = 503, RetryAfter = "60" };
        await OutcomeAsync("HEAD", "manifests/1");
        _upstream.Faults = null;
        _upstream.ForgetCalls();

        foreach (var (method, resource) in new[] { ("GET", "manifests/1"), ("HEAD", "manifests/1"), ("GET", "blobs/x"), ("GET", "tags/list") })
        {
            (await OutcomeAsync(method, resource)).ShouldBe(UpstreamOutcome.Down);
        }

        _upstream.Calls.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_503_with_a_time_leaves_the_upstream_alone_at_once_until_then()
    {
        var until = _time.GetUtcNow().AddMinutes(10).ToString("R", CultureInfo.InvariantCulture);
        _upstream.Faults = _ => new UpstreamFault { Status = 503, RetryAfter = until };
        (await _client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Down);
        _time.Advance(TimeSpan.FromMinutes(9));

        (await _client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Down);

        _upstream.Calls.ShouldHaveSingleItem();
    }

    private async Task<UpstreamOutcome> OutcomeAsync(string method, string resource)
    {
        using var answer = await Until.DoneAsync(_client.SendAsync(new HttpMethod(method), "a", resource, null, default).AsTask());
        return answer.Outcome;
    }

    private async Task BreakAsync()
    {
        _upstream.Faults = _ => new UpstreamFault { Status = 500 };
        for (var i = 0; i < 3; i++)
        {
            (await _client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Down);
        }

        _upstream.ForgetCalls();
    }
}
