using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Faults;

/// <summary>
/// A registry that dies, or whose storage fails, at any single call that pulling an image through makes. What is seen is whole,
/// the next pull brings the rest, and nothing stays that no sweep removes.
/// </summary>
public sealed class PulledCrashTests
{
    private readonly ManualTimeProvider _time = new();

    [Fact]
    public async Task A_registry_that_dies_at_any_step_leaves_what_the_next_can_go_on_with()
    {
        await using var upstream = await FakeUpstream.StartAsync();
        var image = upstream.AddImage("a", "v1", RegistryClient.RandomBytes(50_000));
        var crashes = 0;
        for (var step = 1; await DiesAsync(upstream, image, step); step += Counts.Of(ci: 11, full: 1))
        {
            crashes++;
        }

        crashes.ShouldBeGreaterThan(2);
    }

    [Fact]
    public async Task A_storage_that_fails_any_one_call_fails_one_pull_at_most_and_never_by_half()
    {
        await using var upstream = await FakeUpstream.StartAsync();
        await using var registry = await StartAsync(upstream, null);
        var calls = 1;
        for (var failing = 1; failing <= calls; failing += Counts.Of(ci: 3, full: 1))
        {
            var repository = $"a{failing}";
            var image = upstream.AddImage(repository, "v1", RegistryClient.RandomBytes(50_000));
            var fault = registry.Plan.Fail(null, nth: failing);
            var before = registry.Plan.Journal.Count;
            await TryPullAsync(registry.Http, repository, image);
            await UntilIdleAsync(registry);
            fault.Release();
            calls = Math.Max(calls, registry.Plan.Journal.Count - before);
            await PullAsync(registry.Http, repository, image);
            registry.AssertBlobsAreWhole();
        }

        calls.ShouldBeGreaterThan(20);
    }

    [Fact]
    public async Task A_sweep_that_dies_at_any_step_is_finished_by_the_next()
    {
        await using var upstream = await FakeUpstream.StartAsync();
        var image = upstream.AddImage("a", "v1", RegistryClient.RandomBytes(50_000));
        var crashes = 0;
        for (var step = 1; await DiesSweepingAsync(upstream, image, step); step += Counts.Of(ci: 11, full: 1))
        {
            crashes++;
        }

        crashes.ShouldBeGreaterThan(2);
    }

    private async Task<bool> DiesAsync(FakeUpstream upstream, FakeImage image, int step)
    {
        var root = Directory.CreateTempSubdirectory("oci-registry-").FullName;
        try
        {
            bool died;
            await using (var registry = await StartAsync(upstream, root))
            {
                registry.Plan.DieIn(step);
                await TryPullAsync(registry.Http, "a", image);
                await UntilIdleAsync(registry);
                died = registry.Plan.IsDead;
            }

            await using var next = await StartAsync(upstream, root);
            next.AssertBlobsAreWhole();
            await PullAsync(next.Http, "a", image);
            await UntilIdleAsync(next);

            // Neither content nor an upload is left once nobody has pulled it for its time.
            _time.Advance(TimeSpan.FromDays(9));
            await next.SweepAsync();
            await next.PulledSweep.SweepAsync(CancellationToken.None);
            next.BlobFiles().ShouldBeEmpty($"died at call {step}");
            Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories)
                .Where(file => file.Contains("/_manifests/", StringComparison.Ordinal))
                .ShouldBeEmpty($"died at call {step}");
            next.UploadFiles().ShouldBeEmpty($"died at call {step}");
            return died;
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    private async Task<bool> DiesSweepingAsync(FakeUpstream upstream, FakeImage image, int step)
    {
        var root = Directory.CreateTempSubdirectory("oci-registry-").FullName;
        try
        {
            await using (var registry = await StartAsync(upstream, root))
            {
                await PullAsync(registry.Http, "a", image);
                await UntilIdleAsync(registry);
            }

            _time.Advance(TimeSpan.FromDays(9));
            bool died;
            await using (var registry = await StartAsync(upstream, root))
            {
                registry.Plan.DieIn(step);
                try
                {
                    await registry.PulledSweep.SweepAsync(CancellationToken.None);
                }
                catch (ProcessDiedException)
                {
                    // as planned
                }

                died = registry.Plan.IsDead;
            }

            await using var next = await StartAsync(upstream, root);
            if (step % 2 == 0)
            {
                // Pulled again before the next sweep, it is there, and stays; once it is clear that the one before has died.
                _time.Advance(TimeSpan.FromMinutes(5));
                await PullAsync(next.Http, "a", image);
                await UntilIdleAsync(next);
                await next.PulledSweep.SweepAsync(CancellationToken.None);
                await PullAsync(next.Http, "a", image);
                next.AssertBlobsAreWhole();
            }

            _time.Advance(TimeSpan.FromDays(9)); // and longer than a sweep that died holds content
            await Until.TrueAsync(
                async () =>
                {
                    await next.PulledSweep.SweepAsync(CancellationToken.None);
                    _time.Advance(TimeSpan.FromMinutes(5)); // a call that the storage has failed is repeated by the one after
                    return next.BlobFiles().Count == 0;
                },
                $"nothing is left of the sweep that died at call {step}");
            return died;
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    private Task<FaultyRegistry> StartAsync(FakeUpstream upstream, string? root) => FaultyRegistry.StartAsync(
        time: root is null ? null : _time,
        root: root,
        uploads: uploads => uploads.SweepInterval = TimeSpan.FromDays(40), // the test sweeps
        settings: all =>
        {
            all.PullThrough.SweepInterval = TimeSpan.FromDays(30);
            all.PullThrough.Upstreams.Add(new UpstreamOptions { Prefix = "up", Url = upstream.Url.AbsoluteUri });
        });

    private static Task UntilIdleAsync(FaultyRegistry registry) =>
        Until.TrueAsync(() => !registry.PulledBlobs.Running.Any(), "nothing is being fetched");

    /// <summary>What is answered with 200 to its end is right; all else may fail.</summary>
    private static async Task TryPullAsync(HttpClient http, string repository, FakeImage image)
    {
        foreach (var (path, content) in Parts(repository, image))
        {
            try
            {
                using var answer = await http.RequestAsync("GET", path);
                if (answer.StatusCode == HttpStatusCode.OK)
                {
                    (await answer.Content.ReadAsByteArrayAsync()).ShouldBeBytes(content);
                }
                else
                {
                    answer.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
                }
            }
            catch (HttpRequestException)
            {
                // cut off
            }
        }
    }

    private static async Task PullAsync(HttpClient http, string repository, FakeImage image)
    {
        foreach (var (path, content) in Parts(repository, image))
        {
            using var answer = await http.RequestAsync("GET", path);
            await answer.ShouldHaveStatusAsync(HttpStatusCode.OK);
            (await answer.Content.ReadAsByteArrayAsync()).ShouldBeBytes(content);
        }
    }

    private static IEnumerable<(string Path, byte[] Content)> Parts(string repository, FakeImage image) =>
        image.Layers.Append(image.Config)
            .Select(blob => ($"/v2/up/{repository}/blobs/{blob.Digest}", blob.Content))
            .Prepend(($"/v2/up/{repository}/manifests/v1", image.Manifest));
}
