using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Win32.SafeHandles;
using OciRegistry.Endpoints;
using OciRegistry.Server;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

/// <summary>Large content goes out by sendfile(2), where the connection is plain HTTP/1.1, and by no other way is it different.</summary>
public sealed class SocketOutputTests
{
    private const int Large = 3_000_001;
    private static readonly byte[] Content = RegistryClient.RandomBytes(Large);
    private static readonly byte[] Small = RegistryClient.RandomBytes(1000);

    [Fact]
    public async Task Requests_on_one_connection_get_each_its_own_bytes()
    {
        await using var app = await RegistryApp.StartAsync();
        var repository = await PushAsync(app.Http);
        await using var raw = await RawHttp.ConnectAsync(app.Url);
        string[] ranges = ["", "Range: bytes=500000-\r\n", "", "Range: bytes=-200000\r\n", ""];
        byte[][] blobs = [Content, Content, Small, Content, Content];
        byte[][] expected = [Content, Content[500_000..], Small, Content[^200_000..], Content];

        // All at once, then one by one.
        var requests = blobs.Select((blob, i) =>
            $"GET {Path(repository, blob)} HTTP/1.1\r\nHost: {app.Url.Authority}\r\n{ranges[i]}\r\n").ToList();
        await raw.SendAsync(string.Concat(requests));
        await ShouldAnswerAsync(raw, expected);
        foreach (var (request, answer) in requests.Zip(expected))
        {
            await raw.SendAsync(request);
            await ShouldAnswerAsync(raw, [answer]);
        }
    }

    [Fact]
    public async Task Several_ranges_are_each_sent_with_their_heads()
    {
        await using var app = await RegistryApp.StartAsync();
        var repository = await PushAsync(app.Http);
        using var request = new HttpRequestMessage(HttpMethod.Get, Path(repository, Content));
        request.Headers.Range = new RangeHeaderValue { Ranges = { new(0, 999_999), new(2_000_000, 2_999_999) } };
        using var response = await app.Http.SendAsync(request);

        response.StatusCode.ShouldBe(HttpStatusCode.PartialContent);
        var body = await response.Content.ReadAsByteArrayAsync();
        body.AsSpan().IndexOf(Content.AsSpan(0, 1_000_000)).ShouldBeGreaterThan(0);
        body.AsSpan().IndexOf(Content.AsSpan(2_000_000, 1_000_000)).ShouldBeGreaterThan(1_000_000);
        body.Length.ShouldBe((int)response.Content.Headers.ContentLength!.Value);
    }

    [Fact]
    public async Task A_client_that_reads_slowly_gets_every_byte()
    {
        await using var app = await RegistryApp.StartAsync();
        var content = RegistryClient.RandomBytes(24 * 1024 * 1024); // more than the sockets between us take
        var repository = await PushAsync(app.Http, content);
        using var client = new TcpClient { ReceiveBufferSize = 16 * 1024 };
        await client.ConnectAsync(app.Url.Host, app.Url.Port);
        var stream = client.GetStream();
        await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes(
            $"GET {Path(repository, content)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));

        using var received = new MemoryStream();
        var buffer = new byte[40_000];
        while (await stream.ReadAsync(buffer) is > 0 and var read)
        {
            received.Write(buffer, 0, read);
            await Task.Yield();
        }

        received.GetBuffer().AsSpan((int)received.Length - content.Length, content.Length).SequenceEqual(content).ShouldBeTrue();
    }

    [Theory]
    [InlineData(WireProtocol.Http11)]
    [InlineData(WireProtocol.Http11OverTls)]
    [InlineData(WireProtocol.Http2OverTls)]
    [InlineData(WireProtocol.H2c)]
    public async Task A_file_is_sent_as_such_over_plain_HTTP_1_1_only(WireProtocol protocol)
    {
        var files = new CountedFiles();
        await using var app = await RegistryApp.StartAsync(
            services: services => services.AddSingleton<IStartupFilter>(files), host: builder => protocol.Listen(builder));
        using var http = protocol.Client(app.Url);
        var repository = await PushAsync(http);
        for (var i = 0; i < 2; i++)
        {
            (await http.GetByteArrayAsync(Path(repository, Content))).ShouldBeBytes(Content);
        }

        if (protocol == WireProtocol.Http11)
        {
            files.Sent.ShouldBe(2 * Large); // or it costs twice the CPU
        }
        else
        {
            files.Sent.ShouldBe(0);
        }
    }

    [Theory]
    [InlineData(WireProtocol.Http11)]
    [InlineData(WireProtocol.Http11OverTls)]
    [InlineData(WireProtocol.Http2OverTls)]
    [InlineData(WireProtocol.H2c)]
    public async Task A_middleware_that_changes_bodies_gets_the_content_itself(WireProtocol protocol)
    {
        await using var app = await RegistryApp.StartAsync(
            services: services => services.AddSingleton<IStartupFilter, InvertedBodies>(), host: builder => protocol.Listen(builder));
        await ShouldPullInvertedAsync(app, protocol);
    }

    [Fact]
    public async Task A_middleware_that_hands_on_memory_and_changes_it_gets_the_content_itself()
    {
        await using var app = await RegistryApp.StartAsync(
            services: services => services.AddSingleton<IStartupFilter, InvertedMemory>());
        await ShouldPullInvertedAsync(app, WireProtocol.Http11);
    }

    [Fact]
    public async Task A_response_that_became_chunked_has_each_byte_once()
    {
        var files = new CountedFiles();
        await using var app = await RegistryApp.StartAsync(services: services => services
            .AddSingleton<IStartupFilter>(files).AddSingleton<IStartupFilter, LengthlessBodies>());
        var repository = await PushAsync(app.Http);
        using var response = await app.Http.GetAsync(Path(repository, Content));
        response.Headers.TransferEncodingChunked.ShouldBe(true);
        (await response.Content.ReadAsByteArrayAsync()).ShouldBeBytes(Content);
        files.Sent.ShouldBe(0);
    }

    [Fact]
    public async Task A_connection_middleware_that_hands_on_memory_sees_every_byte()
    {
        var written = new MemoryStream();
        await using var app = await RegistryApp.StartAsync(host: builder => builder.WebHost.ConfigureKestrel(kestrel =>
            kestrel.ConfigureEndpointDefaults(endpoint =>
            {
                endpoint.Use(next => connection => SocketOutput.RunAsync(connection, next));
                endpoint.Use(next => connection =>
                {
                    connection.Transport = new Duplex(
                        connection.Transport.Input,
                        new SeeingWriter(connection.Transport.Output, octets => written.Write(octets)));
                    return next(connection);
                });
            })));
        var repository = await PushAsync(app.Http);
        (await app.Http.GetByteArrayAsync(Path(repository, Content))).ShouldBeBytes(Content);
        written.ToArray()[^Large..].ShouldBeBytes(Content);
    }

    [Theory]
    [InlineData("inside of ours")]
    [InlineData("outside of ours")]
    [InlineData("at the endpoint")]
    public async Task Nothing_is_sent_past_TLS_wherever_it_was_added(string where)
    {
        var content = WireMatrix.Content(0, 600_000);
        await using var app = await RegistryApp.StartAsync(host: builder => builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.ConfigureEndpointDefaults(endpoint =>
            {
                if (where == "outside of ours")
                {
                    endpoint.UseHttps(TestCertificate.Value);
                }

                endpoint.Use(next => connection => SocketOutput.RunAsync(connection, next));
                if (where == "inside of ours")
                {
                    endpoint.UseHttps(TestCertificate.Value);
                }
            });
            kestrel.Listen(IPAddress.Loopback, 0, endpoint =>
            {
                if (where == "at the endpoint")
                {
                    endpoint.UseHttps(TestCertificate.Value);
                }
            });
        }));
        foreach (var protocol in (WireProtocol[])[WireProtocol.Http11OverTls, WireProtocol.Http2OverTls])
        {
            await using var tap = new WireTap(app.Url, "the content, in plain text"u8.ToArray());
            using var http = protocol.Client(tap.Url);
            var repository = await PushAsync(http, content);
            (await http.GetByteArrayAsync(Path(repository, content))).ShouldBeBytes(content);
            tap.Sightings.ShouldBe(0);
        }
    }

    [Theory]
    [InlineData("HTTP/1.0")]
    [InlineData("HTTP/1.1")]
    public async Task A_client_may_pause_for_longer_than_Kestrel_lets_it(string version)
    {
        var seen = new SeenRate();
        await using var app = await RegistryApp.StartAsync(services: services => services.AddSingleton<IStartupFilter>(seen));
        var repository = await PushAsync(app.Http);
        await using var raw = await RawHttp.ConnectAsync(app.Url);
        await raw.SendAsync($"GET {Path(repository, Content)} {version}\r\nHost: {app.Url.Authority}\r\n\r\n");
        (await raw.ReadAsync()).Content.ShouldBeBytes(Content);

        // The client has its answer before the server is through with the request.
        await Until.TrueAsync(() => seen.Rate?.GracePeriod == TimeSpan.FromSeconds(100), "a client may pause for 100 s");
    }

    [Fact]
    public async Task Content_that_is_shorter_than_it_was_ends_the_connection()
    {
        await using var app = await RegistryApp.StartAsync();
        var content = RegistryClient.RandomBytes(24 * 1024 * 1024);
        var repository = await PushAsync(app.Http, content);
        using var response = await app.Http.GetAsync(Path(repository, content), HttpCompletionOption.ResponseHeadersRead);
        var file = Directory.EnumerateFiles(app.Root, Convert.ToHexStringLower(SHA256.HashData(content)), SearchOption.AllDirectories)
            .Single(path => path.Contains("/blobs/", StringComparison.Ordinal));
        await using (var damaged = new FileStream(file, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            damaged.SetLength(20 * 1024 * 1024);
        }

        await Should.ThrowAsync<HttpRequestException>(response.Content.ReadAsByteArrayAsync());
        using var again = await app.Http.GetAsync("/v2/");
        again.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_client_that_leaves_keeps_no_file_open()
    {
        await using var app = await RegistryApp.StartAsync();
        var content = RegistryClient.RandomBytes(24 * 1024 * 1024);
        var repository = await PushAsync(app.Http, content);
        var name = Convert.ToHexStringLower(SHA256.HashData(content));
        for (var i = 0; i < 5; i++)
        {
            using var response = await app.Http.GetAsync(Path(repository, content), HttpCompletionOption.ResponseHeadersRead);
            await (await response.Content.ReadAsStreamAsync()).ReadExactlyAsync(new byte[100_000]);
        }

        await Until.TrueAsync(
            () => !Directory.EnumerateFiles("/proc/self/fd").Any(descriptor =>
                new FileInfo(descriptor).LinkTarget?.EndsWith(name, StringComparison.Ordinal) == true),
            "the content is closed");
        app.Log.Lines.ShouldBeEmpty();
    }

    private static async Task ShouldAnswerAsync(RawHttp raw, byte[][] expected)
    {
        foreach (var body in expected)
        {
            var answer = await raw.ReadAsync();
            answer.Content.AsSpan().SequenceEqual(body).ShouldBeTrue();
        }
    }

    private static async Task ShouldPullInvertedAsync(RegistryApp app, WireProtocol protocol)
    {
        using var http = protocol.Client(app.Url);
        var repository = await PushAsync(http);
        (await http.GetByteArrayAsync(Path(repository, Content))).ShouldBeBytes(
            [.. Content.Select(octet => (byte)~octet)]);
    }

    private static async Task<string> PushAsync(HttpClient http, byte[]? content = null)
    {
        var repository = RegistryClient.NewRepository();
        foreach (var blob in content is null ? (byte[][])[Content, Small] : [content])
        {
            await http.PushBlobAsync(repository, blob);
        }

        return repository;
    }

    private static string Path(string repository, byte[] content) =>
        $"/v2/{repository}/blobs/sha256:{Convert.ToHexStringLower(SHA256.HashData(content))}";

    /// <summary>What a client has to take in a second, when its answer has been written.</summary>
    private sealed class SeenRate : IStartupFilter
    {
        public MinDataRate? Rate { get; private set; }

        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use(async (context, following) =>
            {
                await following(context);
                Rate = context.Features.Get<IHttpMinResponseDataRateFeature>()?.MinDataRate;
            });
            next(app);
        };
    }

    /// <summary>Counts the bytes that went from a file to the socket.</summary>
    private sealed class CountedFiles : IStartupFilter
    {
        private long _sent;

        public long Sent => Interlocked.Read(ref _sent);

        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use((context, following) =>
            {
                if (context.Features.Get<IFileOutput>() is { } output)
                {
                    context.Features.Set<IFileOutput>(new Counted(this, output));
                }

                return following(context);
            });
            next(app);
        };

        private sealed class Counted(CountedFiles files, IFileOutput output) : IFileOutput
        {
            public IOException? Failure => output.Failure;

            public bool TryAppend(HttpContext context, SafeFileHandle file, long offset, int count)
            {
                var isSent = output.TryAppend(context, file, offset, count);
                Interlocked.Add(ref files._sent, isSent ? count : 0);
                return isSent;
            }
        }
    }

    /// <summary>Removes the length from each answer at the last moment, as a middleware that changes bodies does.</summary>
    private sealed class LengthlessBodies : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use((context, following) =>
            {
                context.Response.OnStarting(() =>
                {
                    context.Response.ContentLength = null;
                    return Task.CompletedTask;
                });
                return following(context);
            });
            next(app);
        };
    }

    /// <summary>Gives out the memory of the server's own writer, and changes what was written into it.</summary>
    private sealed class InvertedMemory : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use((context, following) =>
            {
                context.Features.Set<IHttpResponseBodyFeature>(new Body(context.Features.Get<IHttpResponseBodyFeature>()!));
                return following(context);
            });
            next(app);
        };

        private sealed class Body(IHttpResponseBodyFeature inner) : IHttpResponseBodyFeature
        {
            public Stream Stream => inner.Stream;

            public PipeWriter Writer { get; } = new SeeingWriter(inner.Writer, octets =>
            {
                foreach (ref var octet in octets)
                {
                    octet = (byte)~octet;
                }
            });

            public Task CompleteAsync() => inner.CompleteAsync();

            public void DisableBuffering() => inner.DisableBuffering();

            public Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken) =>
                inner.SendFileAsync(path, offset, count, cancellationToken);

            public Task StartAsync(CancellationToken cancellationToken) => inner.StartAsync(cancellationToken);
        }
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    /// <summary>Gives out another writer's memory, and looks at what was written into it.</summary>
    private sealed class SeeingWriter(PipeWriter inner, Action<Span<byte>> see) : PipeWriter
    {
        private Memory<byte> _given;

        public override Memory<byte> GetMemory(int sizeHint = 0) => _given = inner.GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

        public override void Advance(int bytes)
        {
            see(_given.Span[..Math.Min(bytes, _given.Length)]);
            inner.Advance(bytes);
        }

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) =>
            inner.FlushAsync(cancellationToken);

        public override void CancelPendingFlush() => inner.CancelPendingFlush();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);
    }

    /// <summary>Stands for any middleware that compresses, signs or logs bodies.</summary>
    private sealed class InvertedBodies : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use(async (context, following) =>
            {
                var inner = context.Response.Body;
                await using var inverting = new InvertingStream(inner);
                context.Response.Body = inverting;
                await following(context);
                await context.Response.CompleteAsync();
                context.Response.Body = inner;
            });
            next(app);
        };
    }

    private sealed class InvertingStream(Stream inner) : Stream
    {
        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Flush() => throw new NotSupportedException();

        public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var inverted = buffer.ToArray();
            for (var i = 0; i < inverted.Length; i++)
            {
                inverted[i] = (byte)~inverted[i];
            }

            await inner.WriteAsync(inverted, cancellationToken);
        }
    }
}
