using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.BadInputs;

/// <summary>Group 27: what HTTP/2 adds to break a server with. Spoken without TLS here, of which the registry knows nothing.</summary>
public sealed class Http2Tests : IAsyncLifetime
{
    private RegistryApp _registry = null!;
    private HttpClient _http = null!;

    public async ValueTask InitializeAsync()
    {
        _registry = await RegistryApp.StartAsync(services: services => services.Configure<KestrelServerOptions>(
            kestrel => kestrel.ConfigureEndpointDefaults(endpoint => endpoint.Protocols = HttpProtocols.Http2)));
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
        _registry.Log.Lines.ShouldBeEmpty();
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
