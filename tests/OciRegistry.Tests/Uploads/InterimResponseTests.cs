using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Uploads;

/// <summary>Interim responses: Jib gets them while a push is slow, no other client does, and they never meet the response.</summary>
public sealed partial class InterimResponseTests
{
    private const string Jib = "User-Agent: jib 3.4.4 jib-maven-plugin Jib";
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    [Fact]
    public async Task Jib_gets_one_every_5_s_while_the_storage_takes_a_chunk()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(time: time, uploads: uploads => uploads.InterimResponses = true);
        var location = await registry.Http.NewUploadAsync("a");
        var append = registry.Plan.Hold(StoreCall.StagedAppend);
        await using var jib = await RawHttp.ConnectAsync(registry.Url);
        await jib.SendAsync($"PATCH {location} HTTP/1.1\r\nHost: a\r\n{Jib}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        await append.Reached;

        await ReadInterimAsync(jib, time);
        await ReadInterimAsync(jib, time);
        append.Release();

        (await jib.ReadNextAsync()).Status.ShouldBe(202);
    }

    [Theory]
    [InlineData("PUT", "{0}&digest={1}")]
    [InlineData("POST", "/v2/a/blobs/uploads/?digest={1}")]
    public async Task Jib_gets_them_while_the_storage_takes_a_blob(string method, string path)
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(time: time, uploads: uploads => (uploads.InterimResponses, uploads.CommitWait) = (true, TimeSpan.FromMinutes(1)));
        var location = await registry.Http.NewUploadAsync("a");
        var publish = registry.Plan.Hold(StoreCall.StagedPublish);
        await using var jib = await RawHttp.ConnectAsync(registry.Url);
        await jib.SendAsync(
            $"{method} {string.Format(null, path, location, Digest.Of("abc"u8))} HTTP/1.1\r\nHost: a\r\n{Jib}\r\nContent-Length: 3\r\n\r\nabc");
        await publish.Reached;

        await ReadInterimAsync(jib, time);
        await ReadInterimAsync(jib, time);
        publish.Release();

        (await jib.ReadNextAsync()).Status.ShouldBe(201);
    }

    [Fact]
    public async Task Jib_gets_them_while_the_storage_takes_a_manifest()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(time: time, uploads: uploads => uploads.InterimResponses = true);
        var manifest = Encoding.ASCII.GetString(RegistryClient.EmptyIndex());
        var write = registry.Plan.Hold(StoreCall.DocumentWrite);
        await using var jib = await RawHttp.ConnectAsync(registry.Url);
        await jib.SendAsync(
            $"PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: a\r\n{Jib}\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\n"
            + $"Content-Length: {manifest.Length}\r\n\r\n{manifest}");
        await write.Reached;

        await ReadInterimAsync(jib, time);
        write.Release();

        (await jib.ReadNextAsync()).Status.ShouldBe(201);
    }

    [Theory]
    [InlineData("User-Agent: docker/20.10.24 go/go1.19.8")]
    [InlineData("User-Agent: jibber")]
    [InlineData("Accept: */*")] // no User-Agent
    [InlineData(Jib + "\r\nExpect: 100-continue")]
    [InlineData(Jib + "\r\nVia: 1.1 proxy")]
    [InlineData(Jib + "\r\nForwarded: for=192.0.2.1")]
    [InlineData(Jib + "\r\nX-Forwarded-For: 192.0.2.1")]
    [InlineData(Jib + "\r\nX-Original-For: 192.0.2.1")]
    [InlineData(Jib + "\r\nX-Real-IP: 192.0.2.1")]
    [InlineData(Jib + "\r\nX-Forwarded-Proto: https")]
    [InlineData(Jib + "\r\nx-envoy-external-address: 192.0.2.1")]
    [InlineData(Jib, "HTTP/1.0")]
    [InlineData(Jib, "HTTP/1.1", false)]
    public async Task Clients_that_they_could_break_get_none(string headers, string protocol = "HTTP/1.1", bool isOn = true)
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(time: time, uploads: uploads => uploads.InterimResponses = isOn);
        var location = await registry.Http.NewUploadAsync("a");
        var append = registry.Plan.Hold(StoreCall.StagedAppend);
        await using var client = await RawHttp.ConnectAsync(registry.Url);
        await client.SendAsync($"PATCH {location} {protocol}\r\nHost: a\r\n{headers}\r\nContent-Length: 3\r\n\r\n");
        if (headers.Contains("Expect", StringComparison.Ordinal))
        {
            await client.ReadContinueAsync(); // Kestrel's own
        }

        await client.SendAsync("abc");
        await append.Reached;
        time.Advance(3 * Interval);
        append.Release();

        (await client.ReadNextAsync()).Status.ShouldBe(202);
    }

    [Fact]
    public async Task Http2_is_not_broken_by_them()
    {
        await using var registry = await StartAsync(WireProtocol.H2c);
        using var http = WireProtocol.H2c.Client(registry.Url);
        http.DefaultRequestHeaders.TryAddWithoutValidation("User-Agent", Jib.Split(": ")[1]);

        for (var i = 0; i < 20; i++)
        {
            await http.PushBlobAsync("a", RegistryClient.RandomBytes(100_000));
        }

        registry.Services.GetRequiredService<FastTicks>().Created.ShouldBe(0);
    }

    [Fact]
    public async Task Over_TLS_they_are_encrypted()
    {
        await using var registry = await StartAsync(WireProtocol.Http11OverTls);
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, registry.Url.Port);
        await using var tls = new SslStream(client.GetStream(), false, (_, presented, _, _) => presented!.Equals(TestCertificate.Value));
        await tls.AuthenticateAsClientAsync("127.0.0.1");
        await tls.WriteAsync(Encoding.ASCII.GetBytes(
            $"POST /v2/a/blobs/uploads/?digest={Digest.Of("abc"u8)} HTTP/1.1\r\nHost: a\r\n{Jib}\r\nConnection: close\r\nContent-Length: 3\r\n\r\n"));
        using var reader = new StreamReader(tls, Encoding.ASCII);
        for (var i = 0; i < 3; i++)
        {
            (await reader.ReadLineAsync().WaitAsync(Until.Patience)).ShouldBe("HTTP/1.1 100 Continue");
            (await reader.ReadLineAsync().WaitAsync(Until.Patience)).ShouldBe("");
        }

        await tls.WriteAsync("abc"u8.ToArray());

        ShouldBeInterimThenFinal(await reader.ReadToEndAsync().WaitAsync(Until.Patience), 201);
    }

    /// <summary>An interim response every millisecond, and responses that begin at any moment, some behind each other.</summary>
    [Theory]
    [InlineData(WireProtocol.Http11)]
    [InlineData(WireProtocol.Http11OverTls)]
    public async Task None_meets_a_response(WireProtocol protocol)
    {
        await using var registry = await StartAsync(protocol);
        var request = $"POST /v2/a/blobs/uploads/?digest={Digest.Of("abc"u8)} HTTP/1.1\r\nHost: a\r\n{Jib}\r\nContent-Length: 3\r\n";
        var refused = request.Replace("sha256", "sha000", StringComparison.Ordinal);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(async _ =>
        {
            for (var round = 0; round < Counts.Of(10, 300); round++)
            {
                using var client = new TcpClient();
                await client.ConnectAsync(IPAddress.Loopback, registry.Url.Port);
                await using var stream = await ConnectAsync(client, protocol);
                await stream.WriteAsync(Encoding.ASCII.GetBytes(string.Concat(
                    request, "\r\nabc", request, "\r\nabc", refused, "\r\nabc", request, "Connection: close\r\n\r\nabc")));
                using var reader = new StreamReader(stream, Encoding.ASCII);
                ShouldBeInterimThenFinal(await reader.ReadToEndAsync().WaitAsync(Until.Patience), 201, 201, 400, 201);
            }
        }));

        registry.Services.GetRequiredService<FastTicks>().Fired.ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task A_client_that_has_gone_ends_them()
    {
        await using var registry = await StartAsync(WireProtocol.Http11);
        var ticks = registry.Services.GetRequiredService<FastTicks>();
        var location = await registry.Http.NewUploadAsync("a");
        await using (var client = await RawHttp.ConnectAsync(registry.Url))
        {
            await client.SendAsync($"PATCH {location} HTTP/1.1\r\nHost: a\r\n{Jib}\r\nContent-Length: 3\r\n\r\na");
            await client.ReadContinueAsync();
        }

        await Until.TrueAsync(() => ticks.Running == 0, "the interim responses have ended");
        await registry.Http.PushBlobAsync("a", [1, 2, 3]);
        registry.Log.Lines.ShouldBeEmpty();
    }

    [Fact]
    public async Task They_continue_for_as_long_as_the_push_takes()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(time: time, uploads: uploads => (uploads.InterimResponses, uploads.CommitWait) = (true, TimeSpan.FromHours(1)));
        var publish = registry.Plan.Hold(StoreCall.StagedPublish);
        await using var jib = await RawHttp.ConnectAsync(registry.Url);
        await jib.SendAsync(
            $"POST /v2/a/blobs/uploads/?digest={Digest.Of("abc"u8)} HTTP/1.1\r\nHost: a\r\n{Jib}\r\nContent-Length: 3\r\n\r\nabc");
        await publish.Reached;

        for (var i = 0; i < 240; i++) // 20 min
        {
            await ReadInterimAsync(jib, time);
        }

        publish.Release();
        (await jib.ReadNextAsync()).Status.ShouldBe(201);
        registry.BlobFiles().Count.ShouldBe(1);
    }

    private static async Task ReadInterimAsync(RawHttp client, ManualTimeProvider time)
    {
        time.Advance(Interval);
        await client.ReadContinueAsync();
    }

    private static Task<RegistryApp> StartAsync(WireProtocol protocol) => RegistryApp.StartAsync(
        options => options.Uploads.InterimResponses = true,
        services =>
        {
            services.AddSingleton<FastTicks>();
            services.Replace(ServiceDescriptor.Singleton<TimeProvider>(provider => provider.GetRequiredService<FastTicks>()));
        },
        host: builder => protocol.Listen(builder));

    private static async Task<Stream> ConnectAsync(TcpClient client, WireProtocol protocol)
    {
        if (!protocol.IsTls())
        {
            return client.GetStream();
        }

        var tls = new SslStream(client.GetStream(), false, (_, presented, _, _) => presented!.Equals(TestCertificate.Value));
        await tls.AuthenticateAsClientAsync("127.0.0.1");
        return tls;
    }

    /// <summary>Each final response whole, and nothing between them but whole interim responses; none after the last.</summary>
    private static void ShouldBeInterimThenFinal(string received, params int[] statuses)
    {
        var rest = received;
        foreach (var status in statuses)
        {
            while (rest.StartsWith("HTTP/1.1 100 Continue\r\n\r\n", StringComparison.Ordinal))
            {
                rest = rest["HTTP/1.1 100 Continue\r\n\r\n".Length..];
            }

            rest.ShouldStartWith($"HTTP/1.1 {status} ", Case.Sensitive, received);
            var end = rest.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4;
            var length = int.Parse(ContentLength().Match(rest[..end]).Groups[1].Value, null);
            rest[..(end + length)].ShouldNotContain("100 Continue", Case.Sensitive, received);
            rest = rest[(end + length)..];
        }

        rest.ShouldBeEmpty(received);
    }

    [GeneratedRegex(@"Content-Length: (\d+)")]
    private static partial Regex ContentLength();

    /// <summary>The system's time, in which 5 s of a repeating timer are a millisecond.</summary>
    private sealed class FastTicks : TimeProvider
    {
        private int _created;
        private int _running;
        private int _fired;

        public int Created => Volatile.Read(ref _created);

        public int Running => Volatile.Read(ref _running);

        public int Fired => Volatile.Read(ref _fired);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            if (period != Interval)
            {
                return base.CreateTimer(callback, state, dueTime, period);
            }

            Interlocked.Increment(ref _created);
            Interlocked.Increment(ref _running);
            return new Counted(
                base.CreateTimer(
                    fired =>
                    {
                        Interlocked.Increment(ref _fired);
                        callback(fired);
                    },
                    state,
                    TimeSpan.Zero,
                    TimeSpan.FromMilliseconds(1)),
                this);
        }

        private sealed class Counted(ITimer timer, FastTicks ticks) : ITimer
        {
            private int _isDisposed;

            public bool Change(TimeSpan dueTime, TimeSpan period) => timer.Change(dueTime, period);

            public void Dispose()
            {
                if (Interlocked.Exchange(ref _isDisposed, 1) == 0)
                {
                    timer.Dispose();
                    Interlocked.Decrement(ref ticks._running);
                }
            }

            public ValueTask DisposeAsync()
            {
                Dispose();
                return ValueTask.CompletedTask;
            }
        }
    }
}
