using System.Net;
using System.Text.Json.Nodes;
using OciRegistry.PullThrough;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>An upstream that sends all in time, but never comes to an end.</summary>
public sealed class SlowUpstreamTests
{
    [Theory]
    [InlineData("/v2/up/a/manifests/v1")]
    [InlineData("/v2/up/a/tags/list")]
    [InlineData("/v2/up/a/referrers/{0}")]
    public async Task An_answer_that_comes_byte_by_byte_is_given_up_after_the_total_time(string path)
    {
        var time = new ManualTimeProvider();
        await using var registry = await PulledRegistry.StartAsync(time: time);
        var subject = registry.Upstream.AddImage("a", "v1").Digest;
        registry.Upstream.Faults = _ => new UpstreamFault
        {
            Body = [(byte)' '],
            ClaimsLength = 1_000_000,
            Paces = sent => sent < 10 ? Task.CompletedTask : Task.Delay(20),
        };
        var asked = registry.Http.GetAsync(new Uri(string.Format(null, path, subject), UriKind.Relative));

        await Until.TrueAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(1));
                return asked.IsCompleted;
            },
            "the answer is given up");

        using var answer = await asked;
        if (path.Contains("referrers", StringComparison.Ordinal))
        {
            answer.Header("Warning").ShouldNotBeNull().ShouldStartWith("299 - "); // what is known of them here, which may be stale
            return;
        }

        await answer.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        (await answer.Content.ReadAsStringAsync()).ShouldContain("has not sent all of its answer within 60 s");
    }

    [Fact]
    public async Task Pages_of_one_list_have_the_total_time_together()
    {
        var time = new ManualTimeProvider();
        await using var registry = await PulledRegistry.StartAsync(time: time);
        registry.Upstream.AddImage("a", "v1");
        var pages = 0;
        registry.Upstream.Faults = _ => new UpstreamFault
        {
            Before = () =>
            {
                time.Advance(TimeSpan.FromSeconds(20)); // each in time
                return Task.CompletedTask;
            },
            Headers = { ["Link"] = NextPage(pages++) },
        };

        using var answer = await registry.Http.GetAsync(new Uri("/v2/up/a/tags/list", UriKind.Relative));

        await answer.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        pages.ShouldBeInRange(2, 4);
    }

    [Theory]
    [InlineData(false, 2)] // it leads to itself
    [InlineData(true, 100)] // each to another
    public async Task Pages_of_tags_without_an_end_are_left_and_no_tag_is_listed_twice(bool areNew, int calls)
    {
        await using var registry = await PulledRegistry.StartAsync();
        registry.Upstream.AddImage("a", "v1");
        registry.Upstream.AddImage("a", "v2");
        var pages = 0;
        registry.Upstream.Faults = _ => new UpstreamFault
        {
            Body = """{"name":"a","tags":["v1","v2"]}"""u8.ToArray(),
            Headers = { ["Link"] = NextPage(areNew ? ++pages : 1) },
        };

        using var answer = await registry.Http.GetAsync(new Uri("/v2/up/a/tags/list", UriKind.Relative));

        await answer.ShouldHaveStatusAsync(HttpStatusCode.OK);
        JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["tags"]!.AsArray().Select(tag => (string)tag!).ShouldBe(["v1", "v2"]);
        registry.Upstream.Calls.Count.ShouldBe(calls);
    }

    [Theory]
    [InlineData(false, 2)]
    [InlineData(true, 20)]
    public async Task Pages_of_referrers_without_an_end_are_left_and_none_is_listed_twice(bool areNew, int calls)
    {
        await using var registry = await PulledRegistry.StartAsync();
        var subject = registry.Upstream.AddImage("a", "v1").Digest;
        var referrer = registry.Upstream.AddReferrer("a", subject, "application/vnd.example");
        var pages = 0;
        registry.Upstream.Faults = _ => new UpstreamFault
        {
            Headers = { ["Link"] = $"</v2/a/referrers/{subject}?page={(areNew ? ++pages : 1)}>; rel=\"next\"" },
        };

        using var answer = await registry.Http.GetAsync(new Uri($"/v2/up/a/referrers/{subject}", UriKind.Relative));

        await answer.ShouldHaveStatusAsync(HttpStatusCode.OK);
        var listed = JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["manifests"]!.AsArray();
        listed.Select(one => (string)one!["digest"]!).ShouldBe([referrer.ToString()]);
        registry.Upstream.Calls.Count.ShouldBe(calls);
    }

    [Fact]
    public async Task A_body_takes_no_more_memory_than_has_arrived_of_it()
    {
        const int announced = 64 * 1024 * 1024;
        using var response = new HttpResponseMessage { Content = new StreamContent(new MemoryStream(new byte[10])) };
        response.Content.Headers.ContentLength = announced;
        using var large = new SemaphoreSlim(1);
        var before = GC.GetAllocatedBytesForCurrentThread();

        var reading = UpstreamBody.ReadBoundedAsync(response, announced, large, CancellationToken.None);

        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(1024 * 1024);
        reading.IsCompleted.ShouldBeTrue("all of it was allocated on this thread");
        (await reading).ShouldBeNull("it breaks off");
    }

    private static string NextPage(int page) => $"</v2/a/tags/list?n=1000&last={page}>; rel=\"next\"";
}
