using System.Diagnostics;
using OciRegistry.Coordination;
using OciRegistry.Tests.Operations;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Coordination;

public sealed class MeasuredLocksTests : RegistryLocksContract, IDisposable
{
    private readonly MeteredRegistry _registry = new();

    public void Dispose() => _registry.Dispose();

    [Fact]
    public async Task What_came_of_each_wait_is_counted()
    {
        var locks = Create(new ManualTimeProvider());
        await using (await locks.TryAcquireAsync("one", TimeSpan.Zero, default))
        {
            (await locks.TryAcquireAsync("one", TimeSpan.Zero, default)).ShouldBeNull();
        }

        Count("process", "acquired").ShouldBe(1);
        Count("process", "timeout").ShouldBe(1);
        Degraded.ShouldBe(0);
    }

    [Fact]
    public async Task Locks_of_a_service_can_be_lost_and_the_service_be_away()
    {
        var service = new Service();
        var locks = new MeasuredLocks(service, _registry.Metrics);
        await using (await locks.TryAcquireAsync("one", TimeSpan.Zero, default))
        {
            _registry.Family("oci_registry_locks_lost_total")[[]].ShouldBe(0);
            await service.Lost.CancelAsync();
            _registry.Family("oci_registry_locks_lost_total")[[]].ShouldBe(1);
        }

        service.Problem = "away";
        (await locks.TryAcquireAsync("one", TimeSpan.Zero, default)).ShouldBeNull();

        Count("shared", "acquired").ShouldBe(1);
        Count("shared", "unavailable").ShouldBe(1);
        Degraded.ShouldBe(1);
    }

    [Fact]
    public async Task A_wait_in_a_request_that_is_traced_is_a_span_of_it()
    {
        using var spans = new SpanCapture();
        var locks = Create(new ManualTimeProvider());
        using var request = new Activity("request").SetIdFormat(ActivityIdFormat.W3C).Start();

        await using var held = await locks.TryAcquireAsync("one", TimeSpan.Zero, default);

        var span = spans.Of(request).ShouldHaveSingleItem();
        span.DisplayName.ShouldBe("lock wait");
        span.GetTagItem("oci_registry.lock.outcome").ShouldBe("acquired");
        Activity.Current.ShouldBe(request);
    }

    private protected override IRegistryLocks Create(ManualTimeProvider time) =>
        new MeasuredLocks(new InProcessLocks(time), _registry.Metrics);

    private double Degraded => _registry.Family("oci_registry_locks_degraded")[[]];

    private double Count(string kind, string outcome) => _registry.Family("oci_registry_lock_wait_seconds").Samples.Single(sample =>
        sample.Name.EndsWith("_count", StringComparison.Ordinal)
        && sample.Labels["kind"] == kind && sample.Labels["outcome"] == outcome).Value;

    private sealed class Service : IRegistryLocks, IRegistryLock
    {
        public CancellationTokenSource Lost { get; } = new();

        public string? Problem { get; set; }

        CancellationToken IRegistryLock.Lost => Lost.Token;

        public CancellationToken ReleaseRequested => CancellationToken.None;

        public ValueTask<IRegistryLock?> TryAcquireAsync(string name, TimeSpan wait, CancellationToken cancellationToken) =>
            new(Problem is null ? this : null);

        public ValueTask RequestReleaseAsync(string name, CancellationToken cancellationToken) => default;

        public ValueTask DisposeAsync() => default;
    }
}
