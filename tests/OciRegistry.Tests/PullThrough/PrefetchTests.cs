using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.PullThrough;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary><c>POST /admin/prefetch</c>: images are here before anybody pulls them, and it is told how that goes.</summary>
public sealed class PrefetchTests
{
    [Fact]
    public async Task What_is_fetched_again_is_kept_for_as_long_as_what_is_pulled()
    {
        var time = new ManualTimeProvider();
        await using var registry = await PulledRegistry.StartAsync(
            options: all => all.PullThrough.SweepInterval = TimeSpan.FromDays(30), time: time);
        registry.Upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        for (var day = 0; day < 10; day++)
        {
            await foreach (var news in registry.App.Services.GetRequiredService<Prefetch>().RunAsync(["up/a:v1"], CancellationToken.None))
            {
                news.Problem.ShouldBeNull();
            }

            await registry.SweepAsync();
            time.Advance(TimeSpan.FromDays(1));
        }

        registry.Upstream.Count(call => call.Method == "GET").ShouldBe(3);
    }

    [Fact]
    public async Task All_that_a_reference_reaches_is_here_then()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a/b", "1", RegistryClient.RandomBytes(1_000), RegistryClient.RandomBytes(70_000));
        var other = registry.Upstream.AddImage("a/b", "2", RegistryClient.RandomBytes(2_000));
        var index = registry.Upstream.AddIndex("a/b", "both", image.Digest, other.Digest);

        var lines = await PrefetchAsync(registry, "up/a/b:both");

        var steps = lines[..^2];
        steps.ShouldAllBe(line => (string?)line["reference"] == "up/a/b:both");
        steps.Select(line => (string?)line["digest"]).ShouldBe(
            new[] { index, image.Digest, other.Digest, image.Config.Digest, other.Config.Digest }
                .Concat(image.Layers.Concat(other.Layers).Select(layer => layer.Digest)).Select(digest => digest.ToString()),
            ignoreOrder: true);
        lines[^2].ToJsonString().ShouldBe("""{"reference":"up/a/b:both","done":true}""");
        Last(lines).ShouldBe((1, 0, steps.Sum(line => (long)line["bytes"]!)));

        registry.Upstream.ForgetCalls();
        using var pulled = await registry.Http.GetManifestAsync("up/a/b", "both");
        pulled.StatusCode.ShouldBe(HttpStatusCode.OK);
        foreach (var (digest, content) in image.Layers.Concat(other.Layers))
        {
            using var blob = await registry.Http.GetBlobAsync("up/a/b", digest);
            await blob.ShouldBeContentAsync(digest, content);
        }

        registry.Upstream.Calls.ShouldBeEmpty();
        (await PrefetchAsync(registry, "up/a/b:both"))[^1].ToJsonString().ShouldBe(lines[^1].ToJsonString());
        registry.Upstream.Calls.ShouldBeEmpty(); // it is not fetched again
    }

    [Fact]
    public async Task One_that_fails_keeps_none_of_the_others()
    {
        await using var registry = await PulledRegistry.StartAsync();
        registry.Upstream.AddImage("a", "1", RegistryClient.RandomBytes(100));
        var broken = registry.Upstream.AddImage("b", "1", RegistryClient.RandomBytes(200));
        registry.Upstream.RemoveBlob("b", broken.Layers[0].Digest);

        var lines = await PrefetchAsync(registry, "up/b:1", "up/gone", "up/a:1");

        var ends = lines.Where(line => line["digest"] is null).ToArray();
        ends[..^1].Select(end => (string?)end["reference"]).ShouldBe(["up/b:1", "up/gone", "up/a:1"]);
        ((string)ends[0]["error"]!).ShouldStartWith($"up/b {broken.Layers[0].Digest}: ");
        ((string)ends[1]["error"]!).ShouldStartWith("up/gone latest: ");
        ends[2].ToJsonString().ShouldBe("""{"reference":"up/a:1","done":true}""");
        var (fetched, failed, _) = Last(lines);
        (fetched, failed).ShouldBe((1, 2));
    }

    [Fact]
    public async Task A_storage_that_fails_is_the_end_of_a_reference_and_not_of_the_answer()
    {
        await using var registry = await PulledRegistry.StartAsync();
        registry.Upstream.AddImage("a", "1", RegistryClient.RandomBytes(100));
        registry.Upstream.AddImage("b", "1", RegistryClient.RandomBytes(100));
        var place = Path.Combine(registry.App.Root, "documents", "repositories", "up", "a");
        Directory.CreateDirectory(Path.GetDirectoryName(place)!);
        await File.WriteAllTextAsync(place, "no folder");

        var lines = await PrefetchAsync(registry, "up/a:1", "up/b:1");

        var (fetched, failed, _) = Last(lines);
        (fetched, failed).ShouldBe((1, 1));
    }

    [Fact]
    public async Task Each_step_is_told_as_it_happens()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a", "1", RegistryClient.RandomBytes(100));
        var rest = new TaskCompletionSource();
        registry.Upstream.Faults = call => new UpstreamFault
        {
            Before = call.Path.EndsWith($"{image.Layers[0].Digest}", StringComparison.Ordinal) ? () => rest.Task : null,
        };
        using var request = Request("up/a:1");
        using var answer = await Until.DoneAsync(registry.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead));
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync());

        var told = new List<string> { (await Until.DoneAsync(reader.ReadLineAsync()))!, (await Until.DoneAsync(reader.ReadLineAsync()))! };

        told.Select(line => (string?)JsonNode.Parse(line)!["digest"]).ShouldBe(
            [image.Digest.ToString(), image.Config.Digest.ToString()]);
        rest.SetResult();
        (await Until.DoneAsync(reader.ReadToEndAsync())).Split('\n').Length.ShouldBe(4); // a layer, the reference, all of it, and nothing
    }

    [Fact]
    public async Task It_ends_when_the_client_leaves()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a", "1", RegistryClient.RandomBytes(100));
        registry.Upstream.AddImage("b", "1", RegistryClient.RandomBytes(100));
        var rest = new TaskCompletionSource();
        registry.Upstream.Faults = call => new UpstreamFault
        {
            Before = call.Path.EndsWith($"{image.Layers[0].Digest}", StringComparison.Ordinal) ? () => rest.Task : null,
        };
        using (var request = Request("up/a:1", "up/b:1"))
        using (var answer = await Until.DoneAsync(registry.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead)))
        using (var reader = new StreamReader(await answer.Content.ReadAsStreamAsync()))
        {
            await Until.DoneAsync(reader.ReadLineAsync());
            await Until.DoneAsync(reader.ReadLineAsync()); // nothing is left to tell, so no write finds out that the client has left
            await Until.TrueAsync(() => registry.Upstream.Count("GET", $"{image.Layers[0].Digest}") > 0, "the layer is being fetched");
        }

        await Until.TrueAsync(async () => await FinishedAsync(registry) == 1, "the request has ended");
        rest.SetResult();
        await registry.UntilIdleAsync();
        registry.Upstream.Count(call => call.Path.Contains("/b/", StringComparison.Ordinal)).ShouldBe(0);
        using var pulled = await registry.Http.GetBlobAsync("up/a", image.Layers[0].Digest);
        await pulled.ShouldBeContentAsync(image.Layers[0].Digest, image.Layers[0].Content); // what was on its way is whole
    }

    [Theory]
    [InlineData("{", "The references are not in JSON that can be read: ")]
    [InlineData("""{"references":"up/a"}""", "The references are not in JSON that can be read: ")]
    [InlineData("""{"reference":["up/a"]}""", "The references are not in JSON that can be read: ")]
    [InlineData("null", "There are 0 references. Name 1 to 1000.")]
    [InlineData("{}", "There are 0 references. Name 1 to 1000.")]
    [InlineData("""{"references":[]}""", "There are 0 references. Name 1 to 1000.")]
    [InlineData("""{"references":["up/a","down/a:1","UP/a",null]}""", "No upstream has 'down/a:1', 'UP/a', ''. Write it like hub/library/alpine:3, ")]
    [InlineData("""{"references":["up"]}""", "No upstream has 'up'. ")]
    [InlineData("""{"references":["up/a:"]}""", "No upstream has 'up/a:'. ")]
    [InlineData("""{"references":["up/a@sha256:12"]}""", "No upstream has 'up/a@sha256:12'. ")]
    [InlineData("""{"references":["1","2","3","4","5","6","7","8","9","10","11","12"]}""", "'9', '10' and 2 more. ")]
    public async Task What_cannot_be_fetched_is_named_before_anything_is(string body, string problem)
    {
        await using var registry = await PulledRegistry.StartAsync();
        using var request = RequestOf(body);
        using var refused = await registry.Http.SendAsync(request);

        await refused.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "UNSUPPORTED");
        ((string)JsonNode.Parse(await refused.Content.ReadAsStringAsync())!["errors"]![0]!["message"]!).ShouldContain(problem);
        registry.Upstream.Calls.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_thousand_references_are_taken_and_no_more_and_no_larger_body()
    {
        await using var registry = await PulledRegistry.StartAsync();
        registry.Upstream.AddImage("a", "1", RegistryClient.RandomBytes(100));

        Last(await PrefetchAsync(registry, [.. Enumerable.Repeat("up/a:1", 1_000)])).Fetched.ShouldBe(1_000);

        using var many = Request([.. Enumerable.Repeat("up/a:1", 1_001)]);
        using var tooMany = await registry.Http.SendAsync(many);
        await tooMany.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "UNSUPPORTED");
        using var large = RequestOf($$"""{"references":["up/a:1"]}{{new string(' ', 256 * 1024)}}""");
        using var tooLarge = await registry.Http.SendAsync(large);
        await tooLarge.ShouldBeErrorAsync(HttpStatusCode.RequestEntityTooLarge, "UNSUPPORTED");
    }

    [Theory]
    [InlineData("up/a:1")]
    [InlineData("up/a@{digest}")]
    [InlineData("{host}/a:1")]
    [InlineData("{host}/a@{digest}")]
    public async Task An_image_is_named_by_prefix_or_by_namespace(string reference)
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a", "1", RegistryClient.RandomBytes(100));

        var lines = await PrefetchAsync(registry, reference
            .Replace("{host}", registry.Upstream.Host, StringComparison.Ordinal)
            .Replace("{digest}", image.Digest.ToString(), StringComparison.Ordinal));

        Last(lines).Fetched.ShouldBe(1);
        using var pulled = await registry.Http.GetBlobAsync("up/a", image.Layers[0].Digest);
        await pulled.ShouldBeContentAsync(image.Layers[0].Digest, image.Layers[0].Content);
    }

    [Fact]
    public async Task Whoever_reads_slowly_is_waited_for_and_told_of_every_step()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a", "1", [.. Enumerable.Range(0, 200).Select(_ => RegistryClient.RandomBytes(10))]);
        var told = new List<PrefetchNews>();
        await foreach (var news in registry.App.Services.GetRequiredService<Prefetch>().RunAsync(["up/a:1"], CancellationToken.None))
        {
            told.Add(news);
            if (told.Count == 1)
            {
                await Until.TrueAsync(() => registry.Upstream.Calls.Count > 64, "as much has been fetched as is kept for whoever reads");
                await Task.Delay(300);
                registry.Upstream.Calls.Count.ShouldBeLessThan(80);
            }
        }

        told[^1].ShouldBe(new PrefetchNews("up/a:1", null, null));
        told[..^1].Select(news => news.Step!.Value.Digest).ShouldBe(
            image.Layers.Select(layer => layer.Digest).Append(image.Config.Digest).Append(image.Digest), ignoreOrder: true);
    }

    private static (int Fetched, int Failed, long Bytes) Last(IReadOnlyList<JsonNode> lines) =>
        ((int)lines[^1]["fetched"]!, (int)lines[^1]["failed"]!, (long)lines[^1]["bytes"]!);

    private static async Task<List<JsonNode>> PrefetchAsync(PulledRegistry registry, params string[] references)
    {
        using var request = Request(references);
        using var answer = await registry.Http.SendAsync(request);
        await answer.ShouldHaveStatusAsync(HttpStatusCode.OK);
        answer.Content.Headers.ContentType!.ToString().ShouldBe("application/x-ndjson");
        var text = await answer.Content.ReadAsStringAsync();
        text.ShouldEndWith("}\n");
        return [.. text[..^1].Split('\n').Select(line => JsonNode.Parse(line)!)];
    }

    private static HttpRequestMessage Request(params string[] references) => RequestOf(
        new JsonObject { ["references"] = new JsonArray([.. references.Select(reference => JsonValue.Create(reference))]) }.ToJsonString());

    private static HttpRequestMessage RequestOf(string body) =>
        new(HttpMethod.Post, "/admin/prefetch") { Content = new StringContent(body, Encoding.UTF8, "application/json") };

    private static async Task<int> FinishedAsync(PulledRegistry registry) =>
        (await registry.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative)))
            .Split('\n').Count(line => line.StartsWith("oci_registry_requests_total{route=\"/admin/prefetch\"", StringComparison.Ordinal));
}
