using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Redis;

/// <summary>R1.1, R1.2 with the locks in Redis: however an upload fails, no key of it is left there.</summary>
public sealed class FailedUploadTests(ITestOutputHelper output)
{
    private const int Acknowledged = 100_000;
    private const int Limit = 1_000_000;

    private static readonly byte[] Content = RegistryClient.RandomBytes(400_000);

    /// <summary>What happens to a session that has acknowledged 100,000 bytes.</summary>
    private static readonly List<Func<FaultyRegistry, string, Task>> Failures =
    [
        .. TransientFailures.All.Values.Select(failure => (Func<FaultyRegistry, string, Task>)(async (registry, location) =>
        {
            failure.Plan(registry.Plan);
            using var failed = await registry.Http.PatchAsync(location, Content[Acknowledged..]);
            ((int)failed.StatusCode).ShouldBe(failure.Status);
        })),
        (registry, location) => GoAwayAsync(registry, location, _ => { }),
        (registry, location) => GoAwayAsync(registry, location, plan => plan.Fail(StoreCall.StagedAppend)),
        async (registry, location) =>
        {
            using var tooMuch = await registry.Http.PatchAsync(location, new byte[Limit], chunked: true);
            ((int)tooMuch.StatusCode).ShouldBe(413);
        },
        async (registry, location) =>
        {
            using var wrong = await registry.Http.CompleteAsync(location, Digest.Of(Content).ToString());
            ((int)wrong.StatusCode).ShouldBe(400);
        },
        async (registry, location) =>
        {
            using var elsewhere = await registry.Http.PatchAsync(location.Split('?')[0], Content, "7-400006");
            ((int)elsewhere.StatusCode).ShouldBe(416);
        },
        async (registry, location) => ((int)(await registry.Http.DeleteAsync(location)).StatusCode).ShouldBe(204),
    ];

    [Fact]
    public async Task However_an_upload_fails_nothing_of_it_stays_in_Redis_and_nothing_is_left_after_the_sweep()
    {
        await using var server = await RedisServer.StartAsync();
        await using var folder = new TempFolder();
        var root = folder.Create("data");
        var rounds = Counts.Of(ci: 2, full: 1 + (1_000 / Failures.Count));
        await using (var replica = new RedisReplica(server, lease: TimeSpan.FromMinutes(2))) // no key is gone by itself
        await using (var registry = await FaultyRegistry.StartAsync(
            uploads: uploads => uploads.MaxBlobSize = Limit, root: root, lockService: replica.Locks))
        {
            for (var round = 0; round < rounds; round++)
            {
                foreach (var fail in Failures)
                {
                    var repository = RegistryClient.NewRepository();
                    using var patched = await registry.Http.PatchAsync(
                        await registry.Http.NewUploadAsync(repository), Content[..Acknowledged]);
                    await patched.ShouldHaveStatusAsync(System.Net.HttpStatusCode.Accepted);
                    await fail(registry, patched.Headers.Location!.ToString());
                    await Until.TrueAsync(
                        async () => (await server.RunAsync("--raw", "KEYS", "*uploads/*")).Length == 0, "no key is left");
                }
            }

            replica.Locks.Problem.ShouldBeNull();
            registry.UploadFiles().ShouldNotBeEmpty();
        }

        var time = new ManualTimeProvider();
        await using var later = await FaultyRegistry.StartAsync(root: root, time: time);
        time.Advance(TimeSpan.FromDays(8));
        await later.SweepAsync();
        later.UploadFiles().ShouldBeEmpty();
        output.WriteLine($"{rounds * Failures.Count} failures");
    }

    private static async Task GoAwayAsync(FaultyRegistry registry, string location, Action<FaultPlan> plan)
    {
        var stuck = registry.Plan.Hold(StoreCall.StagedAppend);
        plan(registry.Plan);
        using (var upload = await RawUpload.StartAsync(registry.Url, "PATCH", location, 200_000))
        {
            await upload.SendAsync(Content.AsMemory(Acknowledged, 50_000));
            await stuck.Reached;
            upload.Reset();
        }

        stuck.Release();
    }
}
