using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Telemetry;

/// <summary>A span, as it was exported.</summary>
internal sealed record ExportedSpan(string Scope, string Name, string Trace, string Id, string Parent, IReadOnlyDictionary<string, string> Attributes);

/// <summary>An OpenTelemetry collector that keeps what it is sent, as protobuf over HTTP or over gRPC.</summary>
internal sealed class FakeCollector : IAsyncDisposable
{
    private readonly ConcurrentQueue<ExportedSpan> _spans = [];
    private readonly ConcurrentDictionary<string, bool> _metrics = [];
    private readonly ConcurrentDictionary<string, string> _resource = [];
    private readonly WebApplication _app;

    private FakeCollector(HttpProtocols protocols)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = protocols));
        _app = builder.Build();
        _app.MapPost("/v1/traces", context => TakeAsync(context, AddSpans));
        _app.MapPost("/v1/metrics", context => TakeAsync(context, AddMetrics));
        _app.MapPost(
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export", context => TakeGrpcAsync(context, AddSpans));
        _app.MapPost(
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", context => TakeGrpcAsync(context, AddMetrics));
    }

    public string Url => _app.Urls.Single();

    public IReadOnlyCollection<ExportedSpan> Spans => _spans;

    /// <summary>As <c>meter/instrument</c>.</summary>
    public IEnumerable<string> Metrics => _metrics.Keys;

    /// <summary>What it is that sends.</summary>
    public IReadOnlyDictionary<string, string> Resource => _resource;

    public static async Task<FakeCollector> StartAsync(HttpProtocols protocols = HttpProtocols.Http1)
    {
        var collector = new FakeCollector(protocols);
        await collector._app.StartAsync();
        return collector;
    }

    /// <summary>A program that starts the server so that it exports here, and soon.</summary>
    public Tool Exporting(string protocol = "http/protobuf", params string[] variables) => Tool.Require("env").With(
    [
        $"OTEL_EXPORTER_OTLP_ENDPOINT={Url}", $"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}", "OTEL_BSP_SCHEDULE_DELAY=100",
        "OTEL_METRIC_EXPORT_INTERVAL=200", .. variables,
    ]);

    /// <summary>The span, once it is here.</summary>
    public async Task<ExportedSpan> UntilSpanAsync(string trace, string name)
    {
        ExportedSpan? found = null;
        await Until.TrueAsync(
            () => (found = Spans.FirstOrDefault(span => span.Trace == trace && span.Name == name)) is not null,
            $"'{name}' of {trace} is exported, beside {string.Join(", ", Spans.Where(span => span.Trace == trace).Select(span => span.Name))}");
        return found!;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private static async Task TakeAsync(HttpContext context, Action<ProtobufMessage> add)
    {
        add(new ProtobufMessage(await ReadAsync(context)));
        context.Response.ContentType = "application/x-protobuf";
    }

    // A byte that says "not compressed", four with the length, and the message; the answer is an empty one.
    private static async Task TakeGrpcAsync(HttpContext context, Action<ProtobufMessage> add)
    {
        add(new ProtobufMessage((await ReadAsync(context)).AsSpan(5)));
        context.Response.ContentType = "application/grpc";
        context.Response.DeclareTrailer("grpc-status");
        await context.Response.Body.WriteAsync(new byte[5]);
        context.Response.AppendTrailer("grpc-status", "0");
    }

    private static async Task<byte[]> ReadAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        return body.ToArray();
    }

    // ExportTraceServiceRequest > ResourceSpans > ScopeSpans > Span
    private void AddSpans(ProtobufMessage request)
    {
        foreach (var resource in request.Messages(1))
        {
            AddResource(resource);
            foreach (var scoped in resource.Messages(2))
            {
                var scope = scoped.Messages(1).Single().Text(1);
                foreach (var span in scoped.Messages(2))
                {
                    _spans.Enqueue(new ExportedSpan(
                        scope, span.Text(5), span.Hex(1), span.Hex(2), span.Hex(4), Attributes(span.Messages(9))));
                }
            }
        }
    }

    // ExportMetricsServiceRequest > ResourceMetrics > ScopeMetrics > Metric
    private void AddMetrics(ProtobufMessage request)
    {
        foreach (var resource in request.Messages(1))
        {
            AddResource(resource);
            foreach (var scoped in resource.Messages(2))
            {
                var meter = scoped.Messages(1).Single().Text(1);
                foreach (var metric in scoped.Messages(2))
                {
                    _metrics[$"{meter}/{metric.Text(1)}"] = true;
                }
            }
        }
    }

    private void AddResource(ProtobufMessage resource)
    {
        foreach (var (name, value) in Attributes(resource.Messages(1).Single().Messages(1)))
        {
            _resource[name] = value;
        }
    }

    // KeyValue > AnyValue, of which these tests look at texts and whole numbers.
    private static Dictionary<string, string> Attributes(IEnumerable<ProtobufMessage> attributes) => attributes.ToDictionary(
        attribute => attribute.Text(1),
        attribute => attribute.Messages(2).Single() is var value && value.Text(1) is { Length: > 0 } text ? text : $"{value.Number(3)}");
}
