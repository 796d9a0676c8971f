using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.DependencyInjection;
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

    [Fact]
    public async Task Over_tls_the_content_is_copied_and_encrypted()
    {
        using var certificate = SelfSigned();
        await using var app = await RegistryApp.StartAsync(host: builder =>
        {
            builder.WebHost.UseKestrelHttpsConfiguration();
            builder.WebHost.UseUrls("https://127.0.0.1:0");
            builder.WebHost.ConfigureKestrel(kestrel =>
                kestrel.ConfigureHttpsDefaults(https => https.ServerCertificate = certificate));
        });
        foreach (var version in (Version[])[HttpVersion.Version11, HttpVersion.Version20])
        {
            using var http = Client(app.Url, version, certificate);
            await ShouldPullAsync(http, await PushAsync(http), version);
        }
    }

    [Fact]
    public async Task Over_http2_the_content_is_copied_into_frames()
    {
        await using var app = await RegistryApp.StartAsync(host: builder => builder.Configuration["Kestrel:EndpointDefaults:Protocols"] = "Http2");
        using var http = Client(app.Url, HttpVersion.Version20);
        await ShouldPullAsync(http, await PushAsync(http), HttpVersion.Version20);
    }

    [Fact]
    public async Task A_middleware_that_changes_bodies_gets_the_content_itself()
    {
        await using var app = await RegistryApp.StartAsync(
            services: services => services.AddTransient<IStartupFilter, InvertedBodies>());
        var repository = await PushAsync(app.Http);
        using var response = await app.Http.GetAsync(Path(repository, Content));
        var expected = Content.Select(octet => (byte)~octet).ToArray();
        (await response.Content.ReadAsByteArrayAsync()).AsSpan().SequenceEqual(expected).ShouldBeTrue();
    }

    [Fact]
    public async Task A_client_may_pause_for_longer_than_Kestrel_lets_it()
    {
        var seen = new SeenRate();
        await using var app = await RegistryApp.StartAsync(services: services => services.AddSingleton<IStartupFilter>(seen));
        var repository = await PushAsync(app.Http);
        using (await app.Http.GetAsync(Path(repository, Content)))
        {
        }

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

    private static async Task ShouldPullAsync(HttpClient http, string repository, Version version)
    {
        using var response = await http.GetAsync(Path(repository, Content));
        response.Version.ShouldBe(version);
        (await response.Content.ReadAsByteArrayAsync()).AsSpan().SequenceEqual(Content).ShouldBeTrue();
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

    private static HttpClient Client(Uri url, Version version, X509Certificate2? server = null) =>
        new(new ExactVersion(version, new SocketsHttpHandler
        {
            SslOptions = { RemoteCertificateValidationCallback = (_, presented, _, _) => presented!.Equals(server) },
        }))
        {
            BaseAddress = url,
        };

    private static X509Certificate2 SelfSigned()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }

    private sealed class ExactVersion(Version version, HttpMessageHandler inner) : DelegatingHandler(inner)
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            (request.Version, request.VersionPolicy) = (version, HttpVersionPolicy.RequestVersionExact);
            return base.SendAsync(request, cancellationToken);
        }
    }

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
