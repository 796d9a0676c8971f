using System.Net;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Endpoints;
using OciRegistry.Tests.Auth;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.BadInputs;

/// <summary>Group 27: bodies that are held in memory as a whole take what has arrived of them, and all together a budget.</summary>
public sealed class BufferedBodyTests : IAsyncDisposable
{
    private const int Announced = 4 * 1024 * 1024;

    private readonly string _repository = RegistryClient.NewRepository();
    private readonly ManualTimeProvider _time = new();
    private readonly List<RawHttp> _connections = [];
    private RegistryApp _registry = null!;

    private BufferedBodies Bodies => _registry.Services.GetRequiredService<BufferedBodies>();

    [Fact]
    public async Task What_a_client_announces_costs_nothing_until_it_comes()
    {
        await StartAsync();
        for (var i = 0; i < 20; i++)
        {
            await BeginAsync(Announced, sent: 1_000);
        }

        await Until.TrueAsync(() => Bodies.Used >= 20 * 1_000, "all bodies have begun");
        Bodies.Used.ShouldBeLessThanOrEqualTo(20 * 1_024 * BufferedBodies.Weight);
    }

    [Fact]
    public async Task A_body_without_room_waits_then_is_503_and_room_that_comes_back_is_used()
    {
        await StartAsync(bufferedBytes: Announced);
        var large = await BeginAsync(Announced, sent: 2 * 1024 * 1024);
        await Until.TrueAsync(() => Bodies.Used == Bodies.MostOfLarge, "there is no room left");

        var waiting = _time.Waiting;
        var refused = PutAsync("refused", padding: 20_000);
        await Until.TrueAsync(() => _time.Waiting > waiting + 1, "the other one waits");
        _time.Advance(TimeSpan.FromSeconds(6));
        using (var answer = await refused)
        {
            await answer.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
            answer.Headers.RetryAfter.ShouldNotBeNull();
        }

        (await PutAsync("small")).StatusCode.ShouldBe(HttpStatusCode.Created); // for which there is always room

        waiting = _time.Waiting;
        var patient = PutAsync("patient", padding: 20_000);
        await Until.TrueAsync(() => _time.Waiting > waiting + 1, "another one waits");
        await large.DisposeAsync();
        using (var answer = await patient)
        {
            answer.StatusCode.ShouldBe(HttpStatusCode.Created);
        }

        await Until.TrueAsync(() => Bodies.Used == 0, "all room has come back");
    }

    /// <summary>One connection of HTTP/2 has a hundred, and the head of each is in memory.</summary>
    [Fact]
    public async Task More_requests_at_once_than_the_memory_has_room_for_are_503()
    {
        await StartAsync();
        var metrics = _registry.Services.GetRequiredService<RegistryMetrics>();
        for (var i = 0L; i < RegistryRequest.MostAtOnce; i++)
        {
            metrics.RequestStarted();
        }

        using (var refused = await GetAsync("x"))
        {
            await refused.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        }

        metrics.RequestFinished("", "GET", 200, TimeSpan.Zero);
        using var served = await GetAsync("x");
        served.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_body_that_does_not_come_is_given_up()
    {
        await StartAsync();
        var raw = await BeginAsync(1_000, sent: 10);
        await Until.TrueAsync(() => Bodies.Used > 0, "it has begun");
        _time.Advance(BufferedBodies.Patience + TimeSpan.FromSeconds(1));

        var answer = await raw.ReadAsync();
        answer.Status.ShouldBe(408);
        answer.Codes.ShouldBe(["UNSUPPORTED"]);
        answer.Headers["Connection"].ShouldBe(["close"]);
        await UntilClosedAsync(raw);
        await Until.TrueAsync(() => Bodies.Used == 0, "its room has come back");
    }

    [Theory]
    [InlineData("PUT", true)]
    [InlineData("GET", false)]
    public async Task A_refused_body_is_read_to_a_bound_and_then_its_connection_ends(string method, bool isRead)
    {
        await using var guarded = await GuardedRegistry.StartAsync(
            AuthMode.Basic, ["alice"], [], services: services => services.AddSingleton<TimeProvider>(_time));
        await using var raw = await RawHttp.ConnectAsync(guarded.App.Url);
        var basic = GuardedRegistry.Basic("alice");
        await raw.SendAsync(
            $"{method} /v2/{_repository}/manifests/x HTTP/1.1\r\nHost: x\r\nAuthorization: {basic}\r\nContent-Length: 10000000000\r\n\r\n");
        if (isRead)
        {
            // More than the 32 MiB, of which the last are not read; nothing is answered before.
            var piece = new byte[1024 * 1024];
            for (var i = 0; i < 33; i++)
            {
                await raw.SendAsync(piece);
            }
        }

        (await raw.ReadAsync()).Status.ShouldBe(403);
        await UntilClosedAsync(raw);
    }

    [Fact]
    public async Task The_form_of_the_token_service_counts_like_a_manifest()
    {
        await using var guarded = await GuardedRegistry.StartAsync(
            AuthMode.Bearer, ["alice"], [], services: services => services.AddSingleton<TimeProvider>(_time));
        var bodies = guarded.App.Services.GetRequiredService<BufferedBodies>();
        await using (var raw = await RawHttp.ConnectAsync(guarded.App.Url))
        {
            await raw.SendAsync(
                "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\nx");
            await Until.TrueAsync(() => bodies.Used > 0, "it has begun");
            bodies.Used.ShouldBeLessThanOrEqualTo(1_024 * BufferedBodies.Weight);
        }

        await Until.TrueAsync(() => bodies.Used == 0, "its room has come back");
    }

    [Fact]
    public async Task A_refused_body_is_waited_for_no_longer_than_a_while()
    {
        await using var guarded = await GuardedRegistry.StartAsync(
            AuthMode.Basic, ["alice"], [], services: services => services.AddSingleton<TimeProvider>(_time));
        await using var raw = await RawHttp.ConnectAsync(guarded.App.Url);
        await raw.SendAsync(
            $"PUT /v2/{_repository}/manifests/x HTTP/1.1\r\nHost: x\r\nAuthorization: {GuardedRegistry.Basic("alice")}\r\nContent-Length: 1000\r\n\r\nx");
        var answer = raw.ReadAsync();
        await Until.TrueAsync(
            () =>
            {
                _time.Advance(TimeSpan.FromSeconds(1));
                return answer.IsCompleted;
            },
            "it is answered");
        (await answer).Status.ShouldBe(403);
        await UntilClosedAsync(raw);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var connection in _connections)
        {
            await connection.DisposeAsync();
        }

        if (_registry is not null)
        {
            await _registry.DisposeAsync();
        }
    }

    private async Task StartAsync(int? bufferedBytes = null) => _registry = await RegistryApp.StartAsync(
        options =>
        {
            options.Limits.BufferedBytes = bufferedBytes ?? options.Limits.BufferedBytes;
            options.Manifests.References = ManifestReferences.Off;
        },
        services => services.AddSingleton<TimeProvider>(_time));

    private async Task<RawHttp> ConnectAsync()
    {
        var raw = await RawHttp.ConnectAsync(_registry.Url);
        _connections.Add(raw);
        return raw;
    }

    private async Task<RawHttp> BeginAsync(int announced, int sent)
    {
        var raw = await ConnectAsync();
        await raw.SendAsync(
            $"PUT /v2/{_repository}/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Type: {MediaTypes.ImageManifest}\r\n"
            + $"Content-Length: {announced}\r\n\r\n{new string(' ', sent)}");
        return raw;
    }

    private Task<HttpResponseMessage> GetAsync(string tag) =>
        _registry.Http.GetAsync(new Uri($"/v2/{_repository}/manifests/{tag}", UriKind.Relative));

    private async Task<HttpResponseMessage> PutAsync(string tag = "x", int padding = 0)
    {
        var manifest = $$"""
            {"schemaVersion":2,"mediaType":"{{MediaTypes.ImageManifest}}",
             "config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"{{Digest.Of("{}"u8)}}"},"layers":[],
             "annotations":{"padding":"{{new string('x', padding)}}"} }
            """;
        using var request = new HttpRequestMessage(HttpMethod.Put, $"/v2/{_repository}/manifests/{tag}")
        {
            Content = new StringContent(manifest),
        };
        request.Content.Headers.ContentType = new(MediaTypes.ImageManifest);
        return await _registry.Http.SendAsync(request);
    }

    /// <summary>The connection lingers for some time of the registry's clock.</summary>
    private Task UntilClosedAsync(RawHttp raw)
    {
        var read = raw.ReadAsync();
        return Until.TrueAsync(
            () =>
            {
                _time.Advance(TimeSpan.FromSeconds(1));
                return read.IsCompletedSuccessfully && read.Result.IsClosed;
            },
            "the connection has ended");
    }
}
