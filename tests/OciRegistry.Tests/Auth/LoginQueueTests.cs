using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OciRegistry.Auth;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Auth;

/// <summary>Whose password is verified next, while many wait for the one place.</summary>
public sealed class LoginQueueTests : IDisposable
{
    private readonly FailedLogins _failures = new(Options.Create(new OciRegistryOptions()));
    private readonly LoginQueue _queue;
    private readonly List<string> _turns = [];
    private readonly List<Task> _waiting = [];

    public LoginQueueTests() => _queue = new LoginQueue(_failures, places: 1);

    public void Dispose() => _failures.Dispose();

    [Fact]
    public async Task Networks_take_turns_however_many_logins_each_sends()
    {
        await _queue.EnterAsync(null, CancellationToken.None);
        foreach (var address in new[] { "10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.2" })
        {
            Wait(address);
        }

        await LeaveAsync(6);

        _turns.ShouldBe(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1", "10.0.0.2", "10.0.0.1"]);
    }

    [Fact]
    public async Task The_networks_of_one_customer_of_IPv6_have_one_turn()
    {
        await _queue.EnterAsync(null, CancellationToken.None);
        foreach (var address in new[] { "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1", "2001:db8:0:100::1" })
        {
            Wait(address);
        }

        await LeaveAsync(4);

        _turns[1].ShouldBe("2001:db8:0:100::1");
    }

    [Fact]
    public async Task A_first_login_is_before_those_of_addresses_that_have_failed()
    {
        await _queue.EnterAsync(null, CancellationToken.None);
        for (var i = 0; i < 100; i++)
        {
            var address = $"10.0.1.{i}";
            _failures.Add(IPAddress.Parse(address));
            Wait(address);
            Wait(address);
        }

        Wait("10.0.0.1");
        await LeaveAsync(1);

        _turns.ShouldBe(["10.0.0.1"]);
    }

    [Fact]
    public async Task Who_has_failed_has_every_fourth_turn_all_the_same()
    {
        _failures.Add(IPAddress.Parse("10.0.1.1"));
        await _queue.EnterAsync(null, CancellationToken.None);
        Wait("10.0.1.1");
        Wait("10.0.1.1");
        for (var i = 1; i <= 9; i++)
        {
            Wait($"10.0.0.{i}");
        }

        await LeaveAsync(8);

        _turns.Select((address, i) => (address, Turn: i + 1)).Where(turn => turn.address == "10.0.1.1")
            .Select(turn => turn.Turn).ShouldBe([LoginQueue.TurnsOfOthers, 2 * LoginQueue.TurnsOfOthers]);
    }

    [Fact]
    public async Task A_network_has_so_many_waiting_and_no_more()
    {
        await _queue.EnterAsync(null, CancellationToken.None);
        for (var i = 0; i < LoginQueue.MaxOfNetwork; i++)
        {
            Wait("10.0.0.1");
        }

        await ShouldBeRefusedAsync("10.0.0.1");
        _queue.Waiting.ShouldBe(LoginQueue.MaxOfNetwork);
        Wait("10.0.0.2");
        await LeaveAsync(2);
        _turns.ShouldBe(["10.0.0.1", "10.0.0.2"]);
    }

    [Fact]
    public async Task A_full_queue_has_room_for_who_has_fewer_waiting_at_the_cost_of_who_has_most()
    {
        await _queue.EnterAsync(null, CancellationToken.None);
        var sent = Enumerable.Range(0, LoginQueue.MaxWaiting)
            .Select(i => _queue.EnterAsync(IPAddress.Parse($"10.0.0.{i % 4}"), CancellationToken.None).AsTask())
            .ToList();
        _queue.Waiting.ShouldBe(LoginQueue.MaxWaiting);

        Wait("10.0.1.1");

        _queue.Waiting.ShouldBe(LoginQueue.MaxWaiting);
        (await await Until.DoneAsync(Task.WhenAny(sent))).ShouldBeFalse();
        sent.Count(login => login.IsCompleted).ShouldBe(1);
        _turns.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_queue_that_is_full_of_networks_that_fail_has_room_for_one_that_has_not()
    {
        await _queue.EnterAsync(null, CancellationToken.None);
        for (var i = 0; i < LoginQueue.MaxWaiting; i++)
        {
            var address = IPAddress.Parse($"10.0.{2 + (i / 100)}.{i % 100}");
            _failures.Add(address);
            _ = _queue.EnterAsync(address, CancellationToken.None).AsTask();
        }

        var failing = IPAddress.Parse("10.0.1.1");
        _failures.Add(failing);
        await ShouldBeRefusedAsync("10.0.1.1");
        Wait("10.0.0.1");
        await LeaveAsync(1);
        _turns.ShouldBe(["10.0.0.1"]);
    }

    [Fact]
    public async Task Who_leaves_the_queue_has_no_turn()
    {
        await _queue.EnterAsync(null, CancellationToken.None);
        using var leaving = new CancellationTokenSource();
        var left = _queue.EnterAsync(IPAddress.Parse("10.0.0.1"), leaving.Token);
        Wait("10.0.0.2");

        await leaving.CancelAsync();

        await Should.ThrowAsync<OperationCanceledException>(() => Until.DoneAsync(left.AsTask()));
        _queue.Waiting.ShouldBe(1);
        await LeaveAsync(1);
        _turns.ShouldBe(["10.0.0.2"]);
        _queue.Leave();
        (await Until.DoneAsync(_queue.EnterAsync(null, CancellationToken.None).AsTask())).ShouldBeTrue();
    }

    [Fact]
    public async Task A_login_that_finds_the_queue_full_is_answered_429_and_later_served()
    {
        using var folder = new AuthFolder();
        await using var registry = await TokenRegistry.StartAsync(folder);
        var queue = registry.Services.GetRequiredService<LoginQueue>();
        while (queue.Waiting < LoginQueue.MaxOfNetwork)
        {
            _waiting.Add(queue.EnterAsync(IPAddress.Loopback, CancellationToken.None).AsTask());
        }

        using (var full = await registry.Http.AskTokenAsync("", TokenClient.Basic("alice", AuthFolder.AlicesPassword)))
        {
            await full.ShouldBeErrorAsync(HttpStatusCode.TooManyRequests, "TOOMANYREQUESTS");
            full.Header("Retry-After").ShouldBe("10");
            (await full.Content.ReadAsStringAsync()).ShouldContain("Too many logins wait to be verified.");
        }

        using var elsewhere = TokenClient.From("127.0.0.2", registry.Url);
        var other = elsewhere.TokenAsync("bob", AuthFolder.BobsPassword); // in turn, two turns from now
        await Until.TrueAsync(() => queue.Waiting == LoginQueue.MaxOfNetwork + 1, "the other network waits");
        queue.Leave();
        queue.Leave();
        await other;
        for (var left = _waiting.Count - 2; left > 0; left--)
        {
            queue.Leave();
        }

        await registry.Http.TokenAsync("alice", AuthFolder.AlicesPassword);
    }

    private async Task ShouldBeRefusedAsync(string address)
    {
        var refused = _queue.EnterAsync(IPAddress.Parse(address), CancellationToken.None);
        refused.IsCompleted.ShouldBeTrue("it does not wait");
        (await refused).ShouldBeFalse();
    }

    private void Wait(string address) => _waiting.Add(EnterAsync(address));

    private async Task EnterAsync(string address)
    {
        if (await _queue.EnterAsync(IPAddress.Parse(address), CancellationToken.None))
        {
            lock (_turns)
            {
                _turns.Add(address);
            }
        }
    }

    /// <summary>Leaves so often, each time once the one before has noted its turn.</summary>
    private async Task LeaveAsync(int times)
    {
        for (var i = 1; i <= times; i++)
        {
            _queue.Leave();
            await Until.TrueAsync(
                () =>
                {
                    lock (_turns)
                    {
                        return _turns.Count == i;
                    }
                },
                "the next has its turn");
        }
    }
}
