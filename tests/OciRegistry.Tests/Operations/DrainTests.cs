using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OciRegistry.Endpoints;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Operations;

/// <summary>R1.7 in one process: what becomes of each kind of request when the server is told to stop.</summary>
public sealed class DrainTests : IAsyncLifetime
{
    private static readonly TimeSpan Announce = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(45);

    private readonly ManualTimeProvider _time = new();
    private readonly string _repository = RegistryClient.NewRepository();
    private RegistryApp _registry = null!;
    private RegistryApp _other = null!;
    private Task? _stopped;

    public async ValueTask InitializeAsync()
    {
        _registry = await RegistryApp.StartAsync(
            options =>
            {
                options.Drain.Announce = Announce;
                options.Drain.Deadline = Deadline;
                options.Uploads.OrderWait = Announce + Deadline + Deadline;
            },
            services => services.AddSingleton<TimeProvider>(_time)
                .Configure<HostOptions>(host => host.ShutdownTimeout = 10 * Until.Patience));
        _other = await RegistryApp.StartAsync(root: _registry.Root);
    }

    public async ValueTask DisposeAsync()
    {
        if (_stopped is null)
        {
            await BeginStoppingAsync();
        }

        _time.Advance(Announce);
        await Until.TrueAsync(IsRefusedAsync, "it accepts no connections");
        _time.Advance(Deadline);
        await _other.DisposeAsync();
        await _registry.DisposeAsync();
    }

    [Fact]
    public async Task It_is_announced_while_requests_are_still_accepted()
    {
        await BeginStoppingAsync();

        using var ready = await _registry.Http.GetAsync(new Uri("/readyz", UriKind.Relative));
        await ready.ShouldHaveStatusAsync(HttpStatusCode.ServiceUnavailable);
        var body = JsonNode.Parse(await ready.Content.ReadAsStringAsync())!;
        ((string?)body["status"]).ShouldBe("draining");
        ((string?)body["components"]!["server"]!["status"]).ShouldBe("draining");
        ((string?)body["components"]!["storage"]!["status"]).ShouldBe("ready");
        using var live = await _registry.Http.GetAsync(new Uri("/livez", UriKind.Relative));
        await live.ShouldHaveStatusAsync(HttpStatusCode.OK);
        await _registry.Http.PushImageAsync(_repository, "latest");
        using var pulled = await _registry.Http.GetManifestAsync(_repository, "latest");
        await pulled.ShouldHaveStatusAsync(HttpStatusCode.OK);
        pulled.Headers.ConnectionClose.ShouldBe(true);
        using var unknown = await _registry.Http.GetManifestAsync(_repository, "unknown");
        unknown.Headers.ConnectionClose.ShouldBe(true);
    }

    [Fact]
    public async Task Then_it_accepts_nothing_and_has_ended_when_nothing_runs()
    {
        using var pulled = await _registry.Http.GetAsync(new Uri("/v2/", UriKind.Relative)); // an idle connection stays
        pulled.Headers.ConnectionClose.ShouldNotBe(true);
        await BeginStoppingAsync();

        _time.Advance(Announce);
        await Until.DoneAsync(_stopped!);

        using var client = new TcpClient();
        await Should.ThrowAsync<SocketException>(() => client.ConnectAsync(IPAddress.Loopback, _registry.Url.Port));
    }

    [Theory]
    [InlineData("PATCH", 202)]
    [InlineData("PUT", 201)]
    [InlineData("POST", 201)]
    public async Task An_upload_that_ends_before_the_deadline_is_acknowledged(string method, int status)
    {
        var content = RegistryClient.RandomBytes(300_000);
        using var upload = await SendHalfAsync(method, content);
        await PassAnnouncementAsync();

        await upload.SendAsync(content.AsMemory(150_000));

        (await upload.StatusAsync()).ShouldBe(status);
        await Until.DoneAsync(_stopped!);
        if (status == 201)
        {
            using var blob = await _other.Http.GetBlobAsync(_repository, Digest.Of(content));
            (await blob.Content.ReadAsByteArrayAsync()).ShouldBe(content);
        }
    }

    [Theory]
    [InlineData("PATCH")]
    [InlineData("PUT")]
    public async Task An_upload_that_runs_at_the_deadline_is_recorded_then_reset_and_goes_on_elsewhere(string method)
    {
        var content = RegistryClient.RandomBytes(300_000);
        var location = await _registry.Http.NewUploadAsync(_repository);
        using var upload = await SendHalfAsync(method, content, location);
        await PassAnnouncementAsync();

        _time.Advance(Deadline);

        (await upload.AnswerAsync()).ShouldBeEmpty();
        (await _other.Http.OffsetAsync(location)).ShouldBe(150_000); // at once: it was recorded before the reset
        using var rest = await _other.Http.CompleteAsync(location, Digest.Of(content).ToString(), content[150_000..], "150000-299999");
        await rest.ShouldHaveStatusAsync(HttpStatusCode.Created);
        await Until.DoneAsync(_stopped!);
        _registry.Log.Lines.ShouldHaveSingleItem().ShouldContain("the requests that still run, 1 of them, are ended");
    }

    [Fact]
    public async Task A_request_that_waits_for_its_turn_is_reset_at_the_deadline()
    {
        var content = RegistryClient.RandomBytes(300_000);
        var location = await _registry.Http.NewUploadAsync(_repository);
        using var upload = await SendHalfAsync("PATCH", content, location);
        using var second = await RawUpload.StartAsync(_registry.Url, "PATCH", location, 10, "300000-300009");
        await Until.TrueAsync(() => Drain.Running == 2, "both run");
        await PassAnnouncementAsync();

        _time.Advance(Deadline);

        (await upload.AnswerAsync()).ShouldBeEmpty();
        (await second.AnswerAsync()).ShouldBeEmpty();
        await Until.DoneAsync(_stopped!);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_manifest_on_its_way_has_until_the_deadline(bool isLate)
    {
        var manifest = RegistryClient.EmptyIndex();
        await using var raw = await RawHttp.ConnectAsync(_registry.Url);
        await raw.SendAsync(
            $"PUT /v2/{_repository}/manifests/latest HTTP/1.1\r\nHost: {_registry.Url.Authority}\r\n"
            + $"Content-Type: {MediaTypes.ImageIndex}\r\nContent-Length: {manifest.Length}\r\nExpect: 100-continue\r\n\r\n");
        await raw.ReadContinueAsync();
        await raw.SendAsync(manifest[..10]);
        await PassAnnouncementAsync();

        if (isLate)
        {
            _time.Advance(Deadline);
        }
        else
        {
            await raw.SendAsync(manifest[10..]);
        }

        (await raw.ReadAsync()).Status.ShouldBe(isLate ? 0 : 201);
        await Until.DoneAsync(_stopped!);
        using var pulled = await _other.Http.GetManifestAsync(_repository, "latest");
        await pulled.ShouldHaveStatusAsync(isLate ? HttpStatusCode.NotFound : HttpStatusCode.OK);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_download_has_until_the_deadline(bool isLate)
    {
        var content = RegistryClient.RandomBytes(20_000_000); // more than sockets hold
        var digest = await _registry.Http.PushBlobAsync(_repository, content);
        using var blob = await _registry.Http.GetBlobAsync(_repository, digest, isRead: false);
        await blob.ShouldHaveStatusAsync(HttpStatusCode.OK);
        await PassAnnouncementAsync();

        if (isLate)
        {
            _time.Advance(Deadline);
            await Until.DoneAsync(_stopped!);
            await Should.ThrowAsync<HttpRequestException>(blob.Content.ReadAsByteArrayAsync());
        }
        else
        {
            (await blob.Content.ReadAsByteArrayAsync()).ShouldBe(content);
            await Until.DoneAsync(_stopped!);
        }
    }

    [Fact]
    public async Task Who_is_impatient_waits_neither_for_the_announcement_nor_for_the_deadline()
    {
        var content = RegistryClient.RandomBytes(300_000);
        var location = await _registry.Http.NewUploadAsync(_repository);
        using var upload = await SendHalfAsync("PATCH", content, location);
        await BeginStoppingAsync();

        Drain.EndAll();

        (await upload.AnswerAsync()).ShouldBeEmpty();
        (await _other.Http.OffsetAsync(location)).ShouldBe(150_000);
        await Until.DoneAsync(_stopped!);
    }

    [Fact]
    public async Task A_host_whose_time_is_up_ends_them_before_the_deadline()
    {
        var content = RegistryClient.RandomBytes(300_000);
        var location = await _registry.Http.NewUploadAsync(_repository);
        using var upload = await SendHalfAsync("PATCH", content, location);
        using var hostTime = new CancellationTokenSource();
        await BeginStoppingAsync(hostTime.Token);

        await hostTime.CancelAsync();

        // The server itself aborts the connection then: the record comes after it, as when a client leaves.
        (await upload.AnswerAsync()).ShouldBeEmpty();
        await Until.TrueAsync(async () => await _other.Http.OffsetAsync(location) == 150_000, "what has arrived is recorded");
        await _stopped!.ContinueWith(_ => { }, TaskScheduler.Default);
    }

    [Fact]
    public async Task Until_everything_has_started_it_says_that_it_is_starting()
    {
        var starting = new TaskCompletionSource<HttpStatusCode>();
        await using var registry = await RegistryApp.StartAsync(host: builder =>
            builder.Services.AddSingleton<IHostedService>(provider => new LateService(provider, starting)));

        (await starting.Task).ShouldBe(HttpStatusCode.ServiceUnavailable);
        using var started = await registry.Http.GetAsync(new Uri("/startupz", UriKind.Relative));
        await started.ShouldHaveStatusAsync(HttpStatusCode.OK);
    }

    private Drain Drain => _registry.Services.GetRequiredService<Drain>();

    private async Task BeginStoppingAsync(CancellationToken hostTime = default)
    {
        var waiting = _time.Waiting;
        _stopped = _registry.StopAsync(hostTime);
        await Until.TrueAsync(() => _time.Waiting > waiting, "it is announced");
    }

    private async Task PassAnnouncementAsync()
    {
        await BeginStoppingAsync();
        _time.Advance(Announce);
        await Until.TrueAsync(IsRefusedAsync, "it accepts no connections");
        _stopped!.IsCompleted.ShouldBeFalse();
    }

    private async Task<bool> IsRefusedAsync()
    {
        using var client = new TcpClient();
        try
        {
            await client.ConnectAsync(IPAddress.Loopback, _registry.Url.Port);
            return false;
        }
        catch (SocketException)
        {
            return true;
        }
    }

    /// <summary>Returns once the server has taken the half of the body.</summary>
    private async Task<RawUpload> SendHalfAsync(string method, byte[] content, string? location = null)
    {
        var digest = $"digest={Digest.Of(content)}";
        location = method == "POST" ? $"/v2/{_repository}/blobs/uploads/?{digest}" : location ?? await _registry.Http.NewUploadAsync(_repository);
        if (method == "PUT")
        {
            location = RegistryClient.WithQuery(location, digest);
        }

        var upload = await RawUpload.StartAsync(_registry.Url, method, location, content.Length);
        await upload.SendAsync(content.AsMemory(0, content.Length / 2));
        await Until.TrueAsync(async () => await _registry.Http.ReceivedBytesAsync() >= content.Length / 2, "the half has arrived");
        return upload;
    }

    /// <summary>Asks when all services have started, and nobody has been told yet.</summary>
    private sealed class LateService(IServiceProvider services, TaskCompletionSource<HttpStatusCode> starting) : IHostedLifecycleService
    {
        public async Task StartedAsync(CancellationToken cancellationToken)
        {
            var url = services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
            using var http = new HttpClient();
            using var answer = await http.GetAsync(new Uri($"{url}/startupz"), cancellationToken);
            starting.SetResult(answer.StatusCode);
        }

        public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
