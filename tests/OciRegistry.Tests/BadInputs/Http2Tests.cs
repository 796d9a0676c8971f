using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.BadInputs;

/// <summary>Group 27: what HTTP/2 adds to break a server with. Spoken without TLS here, of which the registry knows nothing.</summary>
public sealed class Http2Tests : IAsyncLifetime
{
    /// <summary>GET / by http, in HPACK's static table, and an authority.</summary>
    private static readonly byte[] RequestHead = [0x82, 0x84, 0x86, 0x41, 1, (byte)'a'];

    private RegistryApp _registry = null!;
    private HttpClient _http = null!;

    public async ValueTask InitializeAsync()
    {
        _registry = await RegistryApp.StartAsync(host: builder => builder.Configuration["Kestrel:EndpointDefaults:Protocols"] = "Http2");
        _http = new HttpClient(new SocketsHttpHandler { UseProxy = false })
        {
            BaseAddress = _registry.Url,
            DefaultRequestVersion = HttpVersion.Version20,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Timeout = Until.Patience,
        };
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await _registry.DisposeAsync();
    }

    [Fact]
    public async Task An_image_is_pushed_in_chunks_or_whole_and_pulled()
    {
        var repository = RegistryClient.NewRepository();
        var bytes = RegistryClient.RandomBytes(300_000);
        using var patch = Versioned(HttpMethod.Patch, await NewUploadAsync(repository), bytes);
        using var appended = await _http.SendAsync(patch);
        appended.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        var closing = RegistryClient.WithQuery(appended.Headers.Location!.ToString(), $"digest={Digest.Of(bytes)}");
        using var put = Versioned(HttpMethod.Put, closing, []);
        using var completed = await _http.SendAsync(put);
        completed.StatusCode.ShouldBe(HttpStatusCode.Created);
        await ShouldStillServeAsync();
    }

    [Fact]
    public async Task Streams_that_are_reset_as_soon_as_they_are_opened_cost_nobody_else()
    {
        for (var round = 0; round < 20; round++)
        {
            using var reset = new CancellationTokenSource();
            var requests = Enumerable.Range(0, 50).Select(_ => ResetAsync(reset.Token)).ToArray();
            await reset.CancelAsync();
            await Task.WhenAll(requests);
        }

        await ShouldStillServeAsync();
    }

    [Fact]
    public async Task Header_bombs_are_refused()
    {
        using var request = Versioned(HttpMethod.Get, "/v2/", null);
        for (var i = 0; i < 400; i++)
        {
            request.Headers.TryAddWithoutValidation($"X-Bomb-{i}", new string('b', 1_000));
        }

        try
        {
            using var response = await _http.SendAsync(request);
            ((int)response.StatusCode).ShouldBeInRange(400, 499);
        }
        catch (HttpRequestException)
        {
            // Kestrel may end the connection instead: that is a refusal too.
        }

        await ShouldStillServeAsync();
    }

    [Theory]
    [InlineData(RawHttp2.Settings, 0)]
    [InlineData(RawHttp2.Ping, 8)]
    public async Task A_flood_of_frames_that_each_want_an_answer_ends_only_its_own_connection(byte type, int length)
    {
        // Whose sender reads none of the answers.
        using var raw = await RawHttp2.ConnectAsync(_registry.Url);
        var frames = Enumerable.Repeat(RawHttp2.Frame(type, 0, 0, new byte[length]), 1_000).SelectMany(f => f).ToArray();
        var sent = 0;
        while (sent < 5_000 && await raw.SendAsync(frames))
        {
            sent++;
        }

        sent.ShouldBeLessThan(5_000, "five million frames were taken, and answers to them kept");
        await ShouldStillServeAsync();
    }

    [Fact]
    public async Task A_header_table_that_is_referred_to_again_and_again_is_refused()
    {
        // HPACK: a field of 4,000 bytes enters the table; each further byte (0xbe: entry 62) stands for all of it.
        using var raw = await RawHttp2.ConnectAsync(_registry.Url);
        byte[] field = [0x40, 1, (byte)'b', 0x7f, 0xa1, 0x1e, .. Enumerable.Repeat((byte)'b', 4_000)];
        byte[] block = [.. RequestHead, .. field, .. Enumerable.Repeat((byte)0xbe, 12_000)];
        await raw.SendAsync(RawHttp2.Frame(RawHttp2.Headers, RawHttp2.EndHeaders | 1, 1, block));
        await ShouldBeEndedAsync(raw);
    }

    [Fact]
    public async Task Headers_that_never_end_are_refused()
    {
        using var raw = await RawHttp2.ConnectAsync(_registry.Url);
        await raw.SendAsync(RawHttp2.Frame(RawHttp2.Headers, 1, 1, RequestHead));
        var more = RawHttp2.Frame(RawHttp2.Continuation, 0, 1, [0x00, 1, (byte)'b', 1, (byte)'b']);
        var frames = Enumerable.Repeat(more, 1_000).SelectMany(f => f).ToArray();
        var sent = 0;
        while (sent < 1_000 && await raw.SendAsync(frames))
        {
            sent++;
        }

        sent.ShouldBeLessThan(1_000);
        await ShouldBeEndedAsync(raw);
    }

    private async Task ShouldBeEndedAsync(RawHttp2 raw)
    {
        var types = await raw.ReadToEndAsync();
        types.ShouldNotContain(RawHttp2.Headers); // no answer to what is no request
        await ShouldStillServeAsync();
    }

    private async Task ResetAsync(CancellationToken cancellationToken)
    {
        try
        {
            using var response = await _http.GetAsync(
                new Uri($"/v2/a/blobs/{Digest.Of([])}", UriKind.Relative), cancellationToken);
            response.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }
        catch (OperationCanceledException)
        {
            // What this test is about.
        }
    }

    private async Task<string> NewUploadAsync(string repository)
    {
        using var start = Versioned(HttpMethod.Post, $"/v2/{repository}/blobs/uploads/", []);
        using var started = await _http.SendAsync(start);
        started.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        return started.Headers.Location!.ToString();
    }

    private async Task ShouldStillServeAsync()
    {
        var repository = RegistryClient.NewRepository();
        var bytes = RegistryClient.RandomBytes(1_000);
        var address = $"{await NewUploadAsync(repository)}&digest={Digest.Of(bytes)}";
        using var put = Versioned(HttpMethod.Put, address, bytes);
        using var pushed = await _http.SendAsync(put);
        pushed.StatusCode.ShouldBe(HttpStatusCode.Created);
        (await _http.GetByteArrayAsync(new Uri($"/v2/{repository}/blobs/{Digest.Of(bytes)}", UriKind.Relative)))
            .ShouldBe(bytes);

        // Kestrel may end the connection that resets too much, and says so.
        _registry.Log.Lines.Where(line => !line.Contains("exceeded the output operations", StringComparison.Ordinal)).ShouldBeEmpty();
    }

    /// <summary>A request made by hand is HTTP/1.1 unless it says otherwise, whatever its client prefers.</summary>
    private static HttpRequestMessage Versioned(HttpMethod method, string address, byte[]? body) =>
        new(method, address)
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = body is null ? null : new ByteArrayContent(body),
        };
}
