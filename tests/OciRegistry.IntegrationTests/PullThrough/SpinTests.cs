using System.Diagnostics;
using System.Net;
using System.Security.Cryptography;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.PullThrough;

/// <summary>What many nodes do that begin with the same image at once, over three replicas (R4.1, R4.2).</summary>
public sealed class SpinTests(ITestOutputHelper output)
{
    private const string Repository = "up/a";
    private const int Readers = 64;

    [Theory]
    [InlineData(Shared.FolderAndRedis, 1)]
    [InlineData(Shared.FolderAndRedis, 3)]
    [InlineData(Shared.AzureAndRedis, 1)]
    [InlineData(Shared.AzureAndRedis, 3)]
    public async Task Many_at_once_get_all_of_it_and_each_replica_fetches_it_once_at_most(Shared shared, int asked)
    {
        await using var upstream = await FakeUpstream.StartAsync();
        await using var replicas = await ReplicaSet.StartAsync(shared, Settings(upstream));
        var content = RegistryClient.RandomBytes(Counts.Of(ci: 32, full: 200) * 1024 * 1024);
        var digest = upstream.AddBlob("a", content);

        var started = Stopwatch.GetTimestamp();
        var read = await Task.WhenAll(Enumerable.Range(0, Readers).Select(i => ReadAsync(replicas[i % asked].Http, digest)));
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;

        read.ShouldAllBe(one => one.IsWhole);
        var fetches = upstream.Count("GET", digest.ToString());
        output.WriteLine($"{Readers} readers of {content.Length / 1024 / 1024} MiB: {seconds:0.0} s, {fetches} fetched it.");
        fetches.ShouldBeInRange(1, asked);
        await replicas.AssertContentIsWholeAsync();
        await replicas.AssertNothingRemainsAsync();
    }

    [Theory]
    [MemberData(nameof(Sharing.WithRedis), MemberType = typeof(Sharing))]
    public async Task A_replica_that_is_killed_in_mid_fetch_leaves_nothing_and_the_others_have_all_of_it(Shared shared)
    {
        await using var upstream = await FakeUpstream.StartAsync();
        await using var replicas = await ReplicaSet.StartAsync(
            shared, [.. Settings(upstream), "OciRegistry:Uploads:IdleExpiry=00:00:04", "OciRegistry:Uploads:SweepInterval=00:00:00.5"]);
        for (var round = 0; round < Counts.Of(ci: 1, full: 10); round++)
        {
            var content = RegistryClient.RandomBytes(8_000_000);
            var digest = upstream.AddBlob("a", content);
            upstream.Faults = call => call.Method == "GET"
                ? new UpstreamFault { Paces = sent => sent >= content.Length / 2 ? Task.Delay(Timeout.Infinite) : Task.CompletedTask }
                : null;
            var victim = replicas.Choose(3);
            var begun = Enumerable.Range(0, 8).Select(_ => new TaskCompletionSource()).ToArray();
            var readers = begun.Select(one => ReadAsync(replicas[victim].Http, digest, one)).ToArray();
            await Until.DoneAsync(Task.WhenAll(begun.Select(one => one.Task)));
            await replicas[victim].KillAsync();

            (await Until.DoneAsync(Task.WhenAll(readers))).ShouldAllBe(one => !one.HasEnded);
            (await replicas.Storage.HasAsync(digest)).ShouldBeFalse();

            upstream.Faults = null;
            var others = Enumerable.Range(0, 8).Select(i => ReadAsync(replicas[(victim + 1 + (i % 2)) % 3].Http, digest));
            (await Task.WhenAll(others)).ShouldAllBe(one => one.IsWhole);
            await replicas.StartAsync(victim);
            await replicas.ShouldServeAsync(Repository, content);
        }

        await replicas.AssertContentIsWholeAsync();
        await replicas.AssertNothingRemainsAsync();
    }

    [Fact]
    public async Task Nobody_sees_an_end_where_the_upstream_was_cut_and_the_next_request_has_all_of_it()
    {
        // R0.7
        await using var upstream = await FakeUpstream.StartAsync();
        await using var replicas = await ReplicaSet.StartAsync(
            Shared.AzureAndRedis, [.. Settings(upstream), "OciRegistry:Storage:AzureBlobs:BlockSize=1048576"]);
        var random = new Random(Seed.Next(output));
        var resumed = 0;
        for (var round = 0; round < Counts.Of(ci: 20, full: 100); round++)
        {
            var content = RegistryClient.RandomBytes(random.Next(2, 4_000_000));
            var digest = upstream.AddBlob("a", content);
            await FindAsync(replicas, digest);
            var cut = random.Next(1, content.Length);
            upstream.Faults = _ => new UpstreamFault { CutsAfter = cut };
            var readers = Enumerable.Range(0, 3).Select(i => ReadAsync(replicas[i].Http, digest));
            (await Until.DoneAsync(Task.WhenAll(readers))).ShouldAllBe(one => !one.HasEnded);
            (await replicas.Storage.HasAsync(digest)).ShouldBeFalse();

            upstream.Faults = null;
            upstream.ForgetCalls();
            (await ReadAsync(replicas.Any.Http, digest)).IsWhole.ShouldBeTrue($"cut at {cut} of {content.Length}");
            resumed += upstream.Count(call => call.Range is not null);
            await replicas.ShouldServeAsync(Repository, content);
        }

        output.WriteLine($"{resumed} went on where they were.");
        resumed.ShouldBeGreaterThan(0);
        await replicas.AssertContentIsWholeAsync();

        // What the other two kept, to go on with, goes with them.
        await Task.WhenAll(Enumerable.Range(0, 3).Select(i => replicas[i].StopAsync()));
        await replicas.AssertNothingRemainsAsync();
    }

    private static string[] Settings(FakeUpstream upstream) =>
    [
        "OciRegistry:PullThrough:Upstreams:0:Prefix=up", $"OciRegistry:PullThrough:Upstreams:0:Url={upstream.Url}",
    ];

    /// <summary>Lets each replica see that the upstream is well: it counts failures in a row, and a cut may look like one.</summary>
    private static async Task FindAsync(ReplicaSet replicas, Digest digest)
    {
        for (var i = 0; i < replicas.Count; i++)
        {
            using var head = await replicas[i].Http.HeadBlobAsync(Repository, digest);
            await head.ShouldHaveStatusAsync(HttpStatusCode.OK);
        }
    }

    /// <summary>Reads all that comes, and keeps none of it.</summary>
    private static async Task<Read> ReadAsync(HttpClient http, Digest digest, TaskCompletionSource? begun = null)
    {
        try
        {
            using var response = await http.GetBlobAsync(Repository, digest, isRead: false);
            if (response.StatusCode != HttpStatusCode.OK)
            {
                return new(HasEnded: false, IsWhole: false);
            }

            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            await using var body = await response.Content.ReadAsStreamAsync();
            var buffer = new byte[64 * 1024];
            for (int read; (read = await body.ReadAsync(buffer)) > 0;)
            {
                hash.AppendData(buffer, 0, read);
                begun?.TrySetResult();
            }

            return new(HasEnded: true, IsWhole: Convert.ToHexStringLower(hash.GetHashAndReset()) == digest.Hex);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return new(HasEnded: false, IsWhole: false);
        }
    }

    private readonly record struct Read(bool HasEnded, bool IsWhole);
}
