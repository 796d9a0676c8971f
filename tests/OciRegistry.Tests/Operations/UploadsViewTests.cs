using System.Net;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Operations;

/// <summary>The operator's view: which upload sessions there are, why a push failed, and how to end one.</summary>
public sealed class UploadsViewTests
{
    private readonly string _repository = RegistryClient.NewRepository();

    [Fact]
    public async Task Sessions_are_listed_in_pages_with_where_they_stand()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        for (var i = 0; i < 5; i++)
        {
            var location = await registry.Http.NewUploadAsync(_repository);
            using var patched = await registry.Http.PatchAsync(location, new byte[i]);
        }

        var listed = new List<JsonNode>();
        for (string? next = "/admin/uploads?n=2"; next is not null;)
        {
            using var page = await registry.Http.GetAsync(new Uri(next, UriKind.Relative));
            listed.AddRange((await page.JsonAsync())["uploads"]!.AsArray().Select(upload => upload!));
            next = page.NextPage();
        }

        listed.Select(upload => (long)upload["offset"]!).ShouldBe([0, 1, 2, 3, 4], ignoreOrder: true);
        listed.ShouldAllBe(upload => (string?)upload["repository"] == _repository && (string?)upload["state"] == "Open");
        listed.ShouldAllBe(upload => ((string)upload["lastReplica"]!).EndsWith($":{Environment.ProcessId}", StringComparison.Ordinal));
        listed.Select(upload => (string?)upload["session"]).Distinct().Count().ShouldBe(5);
    }

    [Fact]
    public async Task A_timeline_tells_why_a_push_failed_by_the_request_id_that_the_client_saw()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var location = await registry.Http.NewUploadAsync(_repository);
        using var accepted = await registry.Http.PatchAsync(location, new byte[100]);
        using var outOfOrder = await registry.Http.PatchAsync(location, new byte[10], "500-509");
        outOfOrder.StatusCode.ShouldBe(HttpStatusCode.RequestedRangeNotSatisfiable);
        registry.Plan.Fail(StoreCall.StagedAppend);
        using var failed = await registry.Http.PatchAsync(location, new byte[10], "100-109");
        failed.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);

        var timeline = await TimelineAsync(registry, location);
        timeline.Select(said => $"{said["verb"]} {said["outcome"]} {said["offset"]}+{said["bytes"]}").ShouldBe(
            ["POST Started 0+0", "PATCH Appended 0+100", "PATCH OutOfOrder 100+0", "PATCH StorageFailed 100+0"]);
        timeline[2]["requestId"]!.ToString().ShouldBe(outOfOrder.Header("X-Request-Id"));
        timeline[3]["requestId"]!.ToString().ShouldBe(failed.Header("X-Request-Id"));
    }

    [Fact]
    public async Task A_refusal_that_is_noted_while_another_request_writes_does_not_disturb_it()
    {
        await using var registry = await FaultyRegistry.StartAsync(
            uploads: uploads => uploads.OrderWait = TimeSpan.FromMilliseconds(50));
        var location = await registry.Http.NewUploadAsync(_repository);
        var content = RegistryClient.RandomBytes(2_000);
        using var writing = await RawUpload.StartAsync(registry.Url, "PATCH", location, 2_000);
        await writing.SendAsync(content.AsMemory(0, 1_000));
        await Until.TrueAsync(
            async () => (await registry.SessionAsync(location))!.Writer is not null, "the request is on record");
        using (var busy = await registry.Http.PatchAsync(location, new byte[10], "5000-5009"))
        {
            busy.StatusCode.ShouldBe(HttpStatusCode.Conflict);
        }

        await writing.SendAsync(content.AsMemory(1_000));
        (await writing.StatusAsync()).ShouldBe(202);
        (await TimelineAsync(registry, location)).Select(said => said["outcome"]!.ToString())
            .ShouldBe(["Started", "Busy", "Appended"]);
        using var closed = await registry.Http.CompleteAsync(location, Digest.Of(content).ToString());
        closed.StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Fact]
    public async Task A_client_that_left_is_on_the_timeline()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var location = await registry.Http.NewUploadAsync(_repository);
        using var leaving = await RawUpload.StartAsync(registry.Url, "PATCH", location, 2_000);
        await leaving.SendAsync(new byte[1_000]);
        await Until.TrueAsync(
            async () => (await registry.SessionAsync(location))!.Writer is not null, "the request is on record");
        leaving.Reset();
        await Until.TrueAsync(
            async () => (await registry.SessionAsync(location))!.Timeline.Any(said => said.Outcome == "ClientLeft"),
            "the timeline has it");
    }

    [Fact]
    public async Task An_operator_ends_a_session_once()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var location = await registry.Http.NewUploadAsync(_repository);
        using var patched = await registry.Http.PatchAsync(location, new byte[100]);
        var address = $"/admin/uploads/{FaultyRegistry.SessionOf(location)}";
        (await registry.Http.DeleteAsync(address)).StatusCode.ShouldBe(HttpStatusCode.NoContent);
        await (await registry.Http.DeleteAsync(address)).ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
        using (var gone = await registry.Http.GetAsync(new Uri(location, UriKind.Relative)))
        {
            gone.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        registry.UploadFiles().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("Host", "registry.example")]
    [InlineData("X-Forwarded-For", "203.0.113.7")]
    [InlineData("Forwarded", "for=203.0.113.7")]
    public async Task What_comes_from_elsewhere_is_denied(string header, string value)
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var location = await registry.Http.NewUploadAsync(_repository);
        foreach (var (method, path) in new[]
        {
            ("GET", "/admin/uploads"), ("DELETE", $"/admin/uploads/{FaultyRegistry.SessionOf(location)}"),
        })
        {
            using var request = new HttpRequestMessage(new HttpMethod(method), path);
            request.Headers.TryAddWithoutValidation(header, value);
            using var answer = await registry.Http.SendAsync(request);
            await answer.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        }

        (await registry.SessionAsync(location)).ShouldNotBeNull();
    }

    [Fact]
    public async Task The_sweep_counts_what_goes_on()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var location = await registry.Http.NewUploadAsync(_repository);
        using var patched = await registry.Http.PatchAsync(location, new byte[1_234]);
        await registry.Http.NewUploadAsync(_repository);
        await registry.SweepAsync();
        var metrics = PrometheusParser.Parse(await registry.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative)));
        metrics.Single(family => family.Name == "oci_registry_uploads_active")[[]].ShouldBe(2);
        metrics.Single(family => family.Name == "oci_registry_uploads_staged_bytes")[[]].ShouldBe(1_234);
    }

    private static async Task<JsonNode[]> TimelineAsync(FaultyRegistry registry, string location)
    {
        var address = $"/admin/uploads/{FaultyRegistry.SessionOf(location)}";
        using var shown = await registry.Http.GetAsync(new Uri(address, UriKind.Relative));
        return [.. (await shown.JsonAsync())["timeline"]!.AsArray().Select(said => said!)];
    }
}
