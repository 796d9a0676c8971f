using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Telemetry;

/// <summary>What the server sends to an OpenTelemetry collector, and what it passes on of its callers' traces.</summary>
public sealed class OtlpExportTests : IAsyncDisposable
{
    private const string Caller = "00f067aa0ba902b7";

    private readonly string _repository = RegistryClient.NewRepository();
    private readonly string _trace = Guid.NewGuid().ToString("n");
    private readonly TempFolder _folder = new();

    public ValueTask DisposeAsync() => _folder.DisposeAsync();

    [Theory]
    [InlineData("http/protobuf", HttpProtocols.Http1)]
    [InlineData("grpc", HttpProtocols.Http2)]
    public async Task A_request_is_a_span_in_its_callers_trace_with_those_of_its_calls_below(string protocol, HttpProtocols http)
    {
        await using var collector = await FakeCollector.StartAsync(http);
        await using var server = await ServerProcess.StartWithAsync(
            collector.Exporting(protocol, "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test"),
            $"OciRegistry:Storage:FileSystem:Root={_folder.Path}");
        await server.Http.PushImageAsync(_repository, "v1");
        foreach (var path in (string[])["/livez", "/readyz", "/metrics"])
        {
            using var _ = await server.Http.RequestAsync("GET", path, headers: TraceHeaders);
        }

        using var pulled = await server.Http.RequestAsync("GET", $"/v2/{_repository}/manifests/v1", headers: TraceHeaders);

        var request = await collector.UntilSpanAsync(_trace, "GET /v2/{name}/manifests/{reference}");
        request.Parent.ShouldBe(Caller);
        request.Attributes["http.route"].ShouldBe("/v2/{name}/manifests/{reference}");
        request.Attributes["http.response.status_code"].ShouldBe("200");
        request.Attributes["oci_registry.request.id"].ShouldBe(pulled.Header("X-Request-Id"));
        (await collector.UntilSpanAsync(_trace, "documents read")).Parent.ShouldBe(request.Id);
        collector.Resource["service.name"].ShouldBe("oci-registry");
        collector.Resource["deployment.environment.name"].ShouldBe("test");
        await Until.TrueAsync(
            () => collector.Metrics.Contains("Microsoft.AspNetCore.Hosting/http.server.request.duration"), "the framework's metrics are exported");
        foreach (var metric in (string[])["OciRegistry/oci_registry.requests", "OciRegistry/oci_registry.store.duration", "System.Runtime/dotnet.gc.collections"])
        {
            collector.Metrics.ShouldContain(metric);
        }

        // Nobody wants to see the collector's own machine asking, nor what runs by itself.
        collector.Spans.Where(span => span.Parent.Length == 0 || span.Parent == Caller)
            .ShouldAllBe(span => span.Attributes.ContainsKey("http.route") && span.Attributes["http.route"].StartsWith("/v2/", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_push_carries_its_trace_to_the_blob_service_and_to_Redis()
    {
        var redis = await RedisServer.SharedAsync();
        await using var proxy = await AzuriteProxy.StartAsync();
        await using var container = await SharedContainer.CreateAsync(proxy.ConnectionString);
        await using var collector = await FakeCollector.StartAsync();
        await using var server = await ServerProcess.StartWithAsync(
            collector.Exporting(), [.. container.Settings, $"OciRegistry:Redis:Configuration={redis.Address}"]);
        var location = await server.Http.NewUploadAsync(_repository);
        proxy.TakeRequests();

        using var patched = await server.Http.RequestAsync("PATCH", location, "content"u8.ToArray(), TraceHeaders);

        patched.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        var request = await collector.UntilSpanAsync(_trace, "PATCH /v2/{name}/blobs/uploads/{session}");
        var wait = await collector.UntilSpanAsync(_trace, "lock wait");
        wait.Parent.ShouldBe(request.Id);
        var acquired = await collector.UntilSpanAsync(_trace, "redis acquire");
        acquired.Parent.ShouldBe(wait.Id);
        acquired.Attributes["db.system.name"].ShouldBe("redis");
        var ofService = proxy.TakeRequests().Where(call => call.TraceParent.Contains(_trace, StringComparison.Ordinal)).ToArray();
        ofService.Select(call => call.Operation).ShouldContain("Put Block");
        ofService.Select(call => call.Operation).ShouldContain("Get Blob");

        // of the store's call that made it, below which the exchange is (the service's library names the former)
        var flush = await collector.UntilSpanAsync(_trace, "uploads flush");
        ofService.Single(call => call.Operation == "Put Block").TraceParent.ShouldBe($"00-{_trace}-{flush.Id}-01");
        await Until.TrueAsync(
            () => collector.Spans.Any(span => span.Parent == flush.Id && span.Attributes.GetValueOrDefault("http.response.status_code") == "201"),
            "the exchange with the service is exported");
    }

    [Fact]
    public async Task An_upstream_is_told_the_trace_and_nothing_else_that_the_client_has_said()
    {
        await using var upstream = await FakeUpstream.StartAsync();
        upstream.AddImage("a", "v1");
        await using var server = await ServerProcess.StartWithAsync(
            null,
            $"OciRegistry:Storage:FileSystem:Root={_folder.Path}",
            "OciRegistry:PullThrough:Upstreams:0:Prefix=up",
            $"OciRegistry:PullThrough:Upstreams:0:Url={upstream.Url}");

        using var pulled = await server.Http.RequestAsync(
            "GET", "/v2/up/a/manifests/v1", headers: [.. TraceHeaders, ("baggage", "user=alice"), ("Correlation-Context", "user=alice")]);

        pulled.StatusCode.ShouldBe(HttpStatusCode.OK);
        foreach (var call in upstream.Calls)
        {
            call.Headers["traceparent"].ShouldStartWith($"00-{_trace}-");
            call.Headers.Keys.ShouldNotContain("baggage");
            call.Headers.Keys.ShouldNotContain("Correlation-Context");
        }
    }

    [Fact]
    public async Task A_collector_that_is_away_is_said_once_and_disturbs_nothing()
    {
        await using var server = await ServerProcess.StartWithAsync(
            Tool.Require("env").With(
                $"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{FreePort.Next()}", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
                "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_METRIC_EXPORT_INTERVAL=50"),
            $"OciRegistry:Storage:FileSystem:Root={_folder.Path}");

        await server.Http.PushImageAsync(_repository, "v1");
        await server.UntilLoggedAsync("The OpenTelemetry collector does not take traces or metrics");
        await server.Http.PushImageAsync(_repository, "v2");

        await server.StopAsync();
        server.Log.Split("The OpenTelemetry collector").Length.ShouldBe(2, server.Log);
        server.Log.ShouldNotContain("fail:");
    }

    private (string Name, string Value)[] TraceHeaders => [("traceparent", $"00-{_trace}-{Caller}-01")];
}
