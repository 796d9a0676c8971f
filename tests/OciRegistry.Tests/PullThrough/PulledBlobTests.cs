using System.Net;
using System.Net.Http.Headers;
using OciRegistry.PullThrough;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Blobs of an upstream: fetched once, read while they come, seen whole or not at all.</summary>
public sealed class PulledBlobTests
{
    private static readonly string[] StagingFolders = ["_data", "_uploads"];
    private readonly ManualTimeProvider _time = new();

    [Fact]
    public async Task A_blob_comes_through_and_is_fetched_once()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(300_000);
        var digest = registry.Upstream.AddBlob("a/b", content);
        for (var i = 0; i < 3; i++)
        {
            using var pulled = await registry.Http.GetBlobAsync("up/a/b", digest);
            await pulled.ShouldBeContentAsync(digest, content);
        }

        registry.Upstream.Calls.Count.ShouldBe(1);
        registry.Traffic.Received.ShouldBe(content.Length);
        registry.Traffic.Saved.ShouldBe(2 * content.Length);
        (registry.Traffic.Hits, registry.Traffic.Misses).ShouldBe((2, 1));
    }

    [Fact]
    public async Task Sha512_comes_through()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(100_000);
        var digest = Digest.Of(content, DigestAlgorithm.Sha512);
        registry.Upstream.Faults = _ => new UpstreamFault { Status = 200, Body = content };
        using var pulled = await registry.Http.GetBlobAsync("up/a", digest);
        await pulled.ShouldBeContentAsync(digest, content);
    }

    [Fact]
    public async Task Many_at_once_read_what_is_fetched_once_while_it_comes()
    {
        // R4.1, Spin
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(Counts.Of(ci: 4, full: 200) * 1024 * 1024);
        var digest = registry.Upstream.AddBlob("a", content);
        var half = new TaskCompletionSource();
        registry.Upstream.Faults = _ => new UpstreamFault
        {
            Paces = sent => sent >= content.Length / 2 ? half.Task : Task.CompletedTask,
        };
        var reading = Enumerable.Range(0, 64).Select(_ => ReadFirstAsync(registry.Http, digest)).ToArray();
        var answers = await Until.DoneAsync(Task.WhenAll(reading)); // all of them have begun: the other half is not even sent
        half.SetResult();
        foreach (var (response, body, begun) in answers)
        {
            using (response)
            {
                response.Content.Headers.ContentLength.ShouldBe(content.Length);
                using var rest = new MemoryStream();
                rest.Write(begun);
                await body.CopyToAsync(rest);
                rest.ToArray().ShouldBeBytes(content);
            }
        }

        registry.Upstream.Count("GET", digest.ToString()).ShouldBe(1);
        await registry.UntilIdleAsync();
    }

    [Fact]
    public async Task Nobody_gets_the_last_byte_before_all_of_it_is_confirmed()
    {
        // R0.7: what has another digest has no end.
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(200_000);
        var digest = registry.Upstream.AddBlob("a", content);
        var wrong = content[..^1].Append((byte)~content[^1]).ToArray();
        registry.Upstream.Faults = call => call.Method == "GET" ? new UpstreamFault { Body = wrong } : null;
        for (var i = 0; i < 2; i++)
        {
            await ShouldBreakOffAsync(registry.Http, digest);
        }

        await registry.UntilIdleAsync();
        registry.Upstream.Faults = null;
        using var pulled = await registry.Http.GetBlobAsync("up/a", digest);
        await pulled.ShouldBeContentAsync(digest, content);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(199_999)]
    [InlineData(200_001)]
    [InlineData(50_000_000)]
    public async Task A_length_that_is_a_lie_ends_nowhere(long claimed)
    {
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(200_000);
        var digest = registry.Upstream.AddBlob("a", content);
        foreach (var isChunked in new[] { false, true })
        {
            registry.Upstream.Faults = call => new UpstreamFault { ClaimsLength = claimed, IsChunked = isChunked };
            await ShouldBreakOffAsync(registry.Http, digest);
            await registry.UntilIdleAsync();
        }

        registry.Upstream.Faults = null;
        using var pulled = await registry.Http.GetBlobAsync("up/a", digest);
        await pulled.ShouldBeContentAsync(digest, content);
    }

    [Fact]
    public async Task The_length_of_a_blob_that_is_sent_without_is_asked_for()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(200_000);
        var digest = registry.Upstream.AddBlob("a", content);
        registry.Upstream.Faults = _ => new UpstreamFault { IsChunked = true };
        using (var refused = await registry.Http.GetBlobAsync("up/a", digest))
        {
            await refused.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        }

        registry.Upstream.Faults = call => call.Method == "GET" ? new UpstreamFault { IsChunked = true } : null;
        using var pulled = await registry.Http.GetBlobAsync("up/a", digest);
        await pulled.ShouldBeContentAsync(digest, content);
    }

    [Fact]
    public async Task A_body_that_ends_too_early_is_gone_on_with()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(200_000);
        var digest = registry.Upstream.AddBlob("a", content);
        registry.Upstream.Faults = call =>
            call is { Method: "GET", Range: null } ? new UpstreamFault { ClaimsLength = 120_000, IsChunked = true } : null;
        await ShouldBreakOffAsync(registry.Http, digest);
        await registry.UntilIdleAsync();
        using var pulled = await registry.Http.GetBlobAsync("up/a", digest);
        await pulled.ShouldBeContentAsync(digest, content);
        registry.Upstream.Calls[^1].Range.ShouldBe("bytes=120000-");
    }

    [Fact]
    public async Task A_blob_without_end_is_given_up_where_its_end_should_be()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var digest = registry.Upstream.AddBlob("a", RegistryClient.RandomBytes(200_000));
        registry.Upstream.Faults = call => call.Method == "GET" ? new UpstreamFault { ClaimsLength = 1L << 40, IsChunked = true } : null;
        await ShouldBreakOffAsync(registry.Http, digest);
        await registry.UntilIdleAsync();
        registry.Traffic.Received.ShouldBeLessThan(300_000);
    }

    [Fact]
    public async Task An_upstream_that_breaks_off_breaks_off_for_all_and_goes_on_with_the_next_request()
    {
        // R0.7, R4.6
        await using var registry = await PulledRegistry.StartAsync();
        var random = new Random(Seed.Next(TestContext.Current.TestOutputHelper!));
        var resumed = 0;
        for (var i = 0; i < Counts.Of(ci: 20, full: 1_000); i++)
        {
            var content = RegistryClient.RandomBytes(random.Next(2, 300_000));
            var digest = registry.Upstream.AddBlob("a", content);
            var cut = random.Next(1, content.Length);
            var begin = new TaskCompletionSource();
            var before = registry.Traffic.Received;
            registry.Upstream.Faults = call => call.Range is null
                ? new UpstreamFault { CutsAfter = cut, Before = () => begin.Task }
                : new UpstreamFault { Status = 500 }; // for who comes when it has broken off already
            var readers = Enumerable.Range(0, 3).Select(_ => ShouldBreakOffAsync(registry.Http, digest)).ToArray();
            await Until.TrueAsync(() => registry.Blobs.Running.Any(), "it is fetched");
            begin.SetResult();
            await Until.DoneAsync(Task.WhenAll(readers));
            await registry.UntilIdleAsync();

            registry.Upstream.Faults = null;
            registry.Upstream.ForgetCalls();
            using var pulled = await registry.Http.GetBlobAsync("up/a", digest);
            await pulled.ShouldBeContentAsync(digest, content);
            var call = registry.Upstream.Calls.ShouldHaveSingleItem();
            var arrived = registry.Traffic.Received - before - content.Length;
            var from = call.Range is { } range ? long.Parse(range.Split('=', '-')[1]) : 0;
            arrived.ShouldBe(0, "nothing that had arrived was fetched again");
            resumed += from > 0 ? 1 : 0; // a connection that breaks may take what it was to bring along
        }

        resumed.ShouldBeGreaterThan(0);
        await registry.UntilIdleAsync();
        registry.Blobs.BrokenCount.ShouldBe(0);
        await AssertNothingIsStagedAsync(registry);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_upstream_that_does_not_go_on_where_it_was_begins_anew(bool ignoresRange)
    {
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(200_000);
        var digest = registry.Upstream.AddBlob("a", content);
        registry.Upstream.Faults = _ => new UpstreamFault { CutsAfter = 100_000 };
        await ShouldBreakOffAsync(registry.Http, digest);
        await registry.UntilIdleAsync();
        registry.Upstream.Faults = call => call.Range is null ? null
            : ignoresRange ? new UpstreamFault { IgnoresRange = true }
            : new UpstreamFault { Status = 416, Body = [] };
        if (!ignoresRange)
        {
            using var refused = await registry.Http.GetBlobAsync("up/a", digest);
            await refused.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        }

        using var pulled = await registry.Http.GetBlobAsync("up/a", digest);
        await pulled.ShouldBeContentAsync(digest, content);
    }

    [Theory]
    [InlineData("bytes 99999-199999/200000")]
    [InlineData("bytes 0-199999/200000")]
    [InlineData("bytes 100000-199999/300000")]
    [InlineData(null)]
    public async Task A_part_of_another_place_or_of_another_size_is_refused_before_a_byte_of_it_is_served(string? contentRange)
    {
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(200_000);
        var digest = registry.Upstream.AddBlob("a", content);
        registry.Upstream.Faults = _ => new UpstreamFault { CutsAfter = 100_000 };
        await ShouldBreakOffAsync(registry.Http, digest);
        await registry.UntilIdleAsync();
        registry.Upstream.Faults = call => call.Range is null ? null : new UpstreamFault
        {
            Status = 206,
            Body = content[100_000..],
            Headers = contentRange is null ? [] : new() { ["Content-Range"] = contentRange },
        };

        using (var refused = await registry.Http.GetBlobAsync("up/a", digest))
        {
            await refused.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        }

        registry.Upstream.Calls[^1].Range.ShouldBe("bytes=100000-");
        using var pulled = await registry.Http.GetBlobAsync("up/a", digest);
        await pulled.ShouldBeContentAsync(digest, content);
        registry.Upstream.Calls[^1].Range.ShouldBeNull();
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    public async Task Content_that_is_here_is_not_linked_when_the_upstream_says_another_size(int off)
    {
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(1_000);
        var digest = registry.Upstream.AddBlob("a", content);
        await registry.Http.PushBlobAsync("ours", content);
        registry.Upstream.Faults = call => call.Method == "HEAD" ? new UpstreamFault { ClaimsLength = content.Length + off } : null;

        using var pulled = await registry.Http.GetBlobAsync("up/a", digest);

        await pulled.ShouldBeContentAsync(digest, content);
        registry.Upstream.Calls.Select(call => call.Method).ShouldBe(["HEAD", "GET"]);
    }

    [Fact]
    public async Task What_went_on_with_other_bytes_has_no_end_and_is_fetched_anew()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(200_000);
        var digest = registry.Upstream.AddBlob("a", content);
        registry.Upstream.Faults = _ => new UpstreamFault { CutsAfter = 100_000 };
        await ShouldBreakOffAsync(registry.Http, digest);
        await registry.UntilIdleAsync();
        registry.Upstream.Faults = _ => new UpstreamFault { Body = RegistryClient.RandomBytes(200_000) };
        await ShouldBreakOffAsync(registry.Http, digest);
        await registry.UntilIdleAsync();
        registry.Upstream.Faults = null;
        using var pulled = await registry.Http.GetBlobAsync("up/a", digest);
        await pulled.ShouldBeContentAsync(digest, content);
        registry.Upstream.Calls[^1].Range.ShouldBeNull();
    }

    [Fact]
    public async Task Of_many_fetches_that_broke_off_a_bounded_number_is_kept()
    {
        await using var registry = await PulledRegistry.StartAsync();
        registry.Upstream.Faults = _ => new UpstreamFault { CutsAfter = 1_000 };
        for (var i = 0; i < PulledBlobs.MaxBroken + 2; i++)
        {
            await ShouldBreakOffAsync(registry.Http, registry.Upstream.AddBlob("a", RegistryClient.RandomBytes(2_000)));
            await registry.UntilIdleAsync();
        }

        registry.Blobs.BrokenCount.ShouldBe(PulledBlobs.MaxBroken);
        Directory.EnumerateFiles(Path.Combine(registry.App.Root, "_data")).Count().ShouldBe(PulledBlobs.MaxBroken);
    }

    [Fact]
    public async Task What_broke_off_and_nobody_asks_for_is_given_up()
    {
        await using var registry = await PulledRegistry.StartAsync(time: _time);
        var digest = registry.Upstream.AddBlob("a", RegistryClient.RandomBytes(200_000));
        registry.Upstream.Faults = _ => new UpstreamFault { CutsAfter = 100_000 };
        await ShouldBreakOffAsync(registry.Http, digest);
        await registry.UntilIdleAsync();
        registry.Blobs.BrokenCount.ShouldBe(1);
        _time.Advance(TimeSpan.FromMinutes(10));
        await registry.SweepAsync();
        registry.Blobs.BrokenCount.ShouldBe(0);
        await AssertNothingIsStagedAsync(registry);
    }

    [Fact]
    public async Task The_fetch_outlives_whoever_has_asked()
    {
        // R4.6
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(1_000_000);
        var digest = registry.Upstream.AddBlob("a", content);
        var half = new TaskCompletionSource();
        registry.Upstream.Faults = _ => new UpstreamFault { Paces = sent => sent >= 500_000 ? half.Task : Task.CompletedTask };
        var leader = await ReadFirstAsync(registry.Http, digest);
        var follower = registry.Http.GetBlobAsync("up/a", digest);
        leader.Response.Dispose();
        half.SetResult();
        using (var followed = await follower)
        {
            await followed.ShouldBeContentAsync(digest, content);
        }

        await registry.UntilIdleAsync();
        using var pulled = await registry.Http.GetBlobAsync("up/a", digest);
        await pulled.ShouldBeContentAsync(digest, content);
        registry.Upstream.Calls.Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_part_can_be_read_while_the_whole_comes()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(500_000);
        var digest = registry.Upstream.AddBlob("a", content);
        var end = new TaskCompletionSource();
        registry.Upstream.Faults = _ => new UpstreamFault { Paces = sent => sent >= 400_000 ? end.Task : Task.CompletedTask };
        using (var part = await RangeAsync(registry.Http, digest, 100_000, 299_999))
        {
            await part.ShouldHaveStatusAsync(HttpStatusCode.PartialContent);
            (await part.Content.ReadAsByteArrayAsync()).ShouldBeBytes(content[100_000..300_000]);
        }

        end.SetResult();
        using var tail = await RangeAsync(registry.Http, digest, 450_000, null);
        (await tail.Content.ReadAsByteArrayAsync()).ShouldBeBytes(content[450_000..]);
        registry.Upstream.Count("GET", digest.ToString()).ShouldBe(1);
    }

    [Fact]
    public async Task HEAD_fetches_nothing()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var digest = registry.Upstream.AddBlob("a", new byte[1_234]);
        using var head = await registry.Http.HeadBlobAsync("up/a", digest);
        await head.ShouldHaveStatusAsync(HttpStatusCode.OK);
        head.Content.Headers.ContentLength.ShouldBe(1_234);
        head.Header("Docker-Content-Digest").ShouldBe(digest.ToString());
        registry.Upstream.Calls.ShouldHaveSingleItem().Method.ShouldBe("HEAD");
        using var unknown = await registry.Http.HeadBlobAsync("up/a", Digest.Of([9]));
        await unknown.ShouldHaveStatusAsync(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task Content_that_another_repository_has_is_linked_when_the_upstream_says_that_this_one_has_it_too()
    {
        // R4, Spin: two that refer to the same content
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(100_000);
        var digest = registry.Upstream.AddBlob("a", content);
        await registry.Http.PushBlobAsync("ours", content);
        using (var pulled = await registry.Http.GetBlobAsync("up/a", digest))
        {
            await pulled.ShouldBeContentAsync(digest, content);
        }

        registry.Upstream.Calls.ShouldHaveSingleItem().Method.ShouldBe("HEAD");

        // But what the upstream does not have in that repository is not there, whoever else has it.
        using var unknown = await registry.Http.GetBlobAsync("up/b", digest);
        await unknown.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN");
    }

    [Fact]
    public async Task Content_that_was_lost_here_is_fetched_again()
    {
        // R2.1
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(100_000);
        var digest = registry.Upstream.AddBlob("a", content);
        using (await registry.Http.GetBlobAsync("up/a", digest))
        {
        }

        await registry.UntilIdleAsync();
        File.Delete(Directory.EnumerateFiles(registry.App.Root, digest.Hex, SearchOption.AllDirectories)
            .Single(file => file.Contains("/blobs/", StringComparison.Ordinal)));
        using var pulled = await registry.Http.GetBlobAsync("up/a", digest);
        await pulled.ShouldBeContentAsync(digest, content);
        registry.Upstream.Count("GET", digest.ToString()).ShouldBe(2);
    }

    [Fact]
    public async Task A_blob_that_the_upstream_does_not_have_is_asked_for_once_in_10_s()
    {
        await using var registry = await PulledRegistry.StartAsync(time: _time);
        var content = RegistryClient.RandomBytes(100);
        for (var i = 0; i < 3; i++)
        {
            using var unknown = await registry.Http.GetBlobAsync("up/a", Digest.Of(content));
            await unknown.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN");
        }

        registry.Upstream.Calls.Count.ShouldBe(1);
        registry.Upstream.AddBlob("a", content);
        _time.Advance(TimeSpan.FromSeconds(10));
        using var pulled = await registry.Http.GetBlobAsync("up/a", Digest.Of(content));
        await pulled.ShouldBeContentAsync(Digest.Of(content), content);
    }

    [Fact]
    public async Task A_replica_waits_for_what_another_one_fetches_and_then_does_it_itself()
    {
        // R4.2, with the locks of two processes that share them
        await using var first = await PulledRegistry.StartAsync();
        var locks = first.App.Services.GetService(typeof(OciRegistry.Coordination.IRegistryLocks))!;
        await using var second = await PulledRegistry.StartAsync(
            options: all => all.PullThrough.ReplicaWait = TimeSpan.FromMinutes(1),
            services: all => Share(all, locks),
            root: first.App.Root,
            fake: first.Upstream);
        await using var third = await PulledRegistry.StartAsync(
            options: all => all.PullThrough.ReplicaWait = TimeSpan.FromMilliseconds(50),
            services: all => Share(all, locks),
            root: first.App.Root,
            fake: first.Upstream);
        var content = RegistryClient.RandomBytes(1_000_000);
        var digest = first.Upstream.AddBlob("a", content);
        var half = new TaskCompletionSource();
        first.Upstream.Faults = _ => new UpstreamFault { Paces = sent => sent >= 500_000 ? half.Task : Task.CompletedTask };
        var fetching = first.Http.GetBlobAsync("up/a", digest);
        await Until.TrueAsync(() => first.Upstream.Calls.Count == 1, "the first one fetches");
        var waiting = second.Http.GetBlobAsync("up/a", digest);
        var impatient = third.Http.GetBlobAsync("up/a", digest);
        await Until.TrueAsync(() => first.Upstream.Calls.Count == 2, "the third one fetches as well");
        half.SetResult();
        foreach (var pull in new[] { fetching, waiting, impatient })
        {
            using var pulled = await pull;
            await pulled.ShouldBeContentAsync(digest, content);
        }

        first.Upstream.Count("GET", digest.ToString()).ShouldBe(2);
    }

    [Fact]
    public async Task Nothing_is_left_where_content_was_kept_on_its_way()
    {
        var folder = Directory.CreateTempSubdirectory("spool-");
        await using (var registry = await PulledRegistry.StartAsync(options: all => all.PullThrough.SpoolFolder = folder.FullName))
        {
            var content = RegistryClient.RandomBytes(1_000_000);
            var digest = registry.Upstream.AddBlob("a", content);
            var half = new TaskCompletionSource();
            registry.Upstream.Faults = _ => new UpstreamFault { Paces = sent => sent >= 500_000 ? half.Task : Task.CompletedTask };
            var reader = await ReadFirstAsync(registry.Http, digest);
            folder.EnumerateFiles().ShouldBeEmpty(); // it has no name: whatever ends the process ends it
            half.SetResult();
            reader.Response.Dispose();
            await registry.UntilIdleAsync();
        }

        folder.Delete();
    }

    [Fact]
    public async Task A_server_that_is_stopped_gives_up_what_it_fetches()
    {
        var registry = await PulledRegistry.StartAsync();
        var digest = registry.Upstream.AddBlob("a", RegistryClient.RandomBytes(1_000_000));
        registry.Upstream.Faults = _ => new UpstreamFault { Paces = sent => sent >= 500_000 ? Task.Delay(Timeout.Infinite) : Task.CompletedTask };
        var reader = await ReadFirstAsync(registry.Http, digest);
        reader.Response.Dispose();
        await Until.DoneAsync(registry.DisposeAsync().AsTask());
    }

    internal static async Task ShouldBreakOffAsync(HttpClient http, Digest digest)
    {
        try
        {
            using var response = await http.GetBlobAsync("up/a", digest);
            if (response.StatusCode == HttpStatusCode.OK)
            {
                var read = await response.Content.ReadAsByteArrayAsync();
                Assert.Fail($"The answer had an end, after {read.Length} bytes.");
            }

            response.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable); // nothing had been sent yet
        }
        catch (HttpRequestException)
        {
            // as it should
        }
    }

    private static void Share(Microsoft.Extensions.DependencyInjection.IServiceCollection services, object locks) =>
        Microsoft.Extensions.DependencyInjection.Extensions.ServiceCollectionDescriptorExtensions.Replace(
            services,
            Microsoft.Extensions.DependencyInjection.ServiceDescriptor.Singleton(typeof(OciRegistry.Coordination.IRegistryLocks), locks));

    private static async Task AssertNothingIsStagedAsync(PulledRegistry registry)
    {
        foreach (var folder in StagingFolders.Select(name => Path.Combine(registry.App.Root, name)))
        {
            await Until.TrueAsync(
                () => !Directory.Exists(folder) || !Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Any(),
                $"{folder} is empty");
        }
    }

    private static async Task<(HttpResponseMessage Response, Stream Body, byte[] Begun)> ReadFirstAsync(HttpClient http, Digest digest)
    {
        var response = await http.GetAsync($"/v2/up/a/blobs/{digest}", HttpCompletionOption.ResponseHeadersRead);
        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        var body = await response.Content.ReadAsStreamAsync();
        var begun = new byte[1_000];
        await body.ReadExactlyAsync(begun);
        return (response, body, begun);
    }

    private static async Task<HttpResponseMessage> RangeAsync(HttpClient http, Digest digest, long from, long? to)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/v2/up/a/blobs/{digest}");
        request.Headers.Range = new RangeHeaderValue(from, to);
        return await http.SendAsync(request);
    }
}
