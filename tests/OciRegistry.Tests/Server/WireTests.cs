using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OciRegistry.Endpoints;
using OciRegistry.Server;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

/// <summary>R5.1: bytes do not depend on the connection, nor on what other requests of the connection do.</summary>
public sealed class WireTests
{
    // More than the sockets between us take, so that a download whose client waits is still being sent.
    private const int Large = 6_000_000;

    public static TheoryData<WireProtocol> EveryProtocol => [.. Enum.GetValues<WireProtocol>()];

    public static MatrixTheoryData<WireProtocol, int> EveryProtocolAndWidth => new(Enum.GetValues<WireProtocol>(), [1, 32]);

    [Theory]
    [MemberData(nameof(EveryProtocolAndWidth))]
    public async Task Every_byte_is_right_and_secret_over_TLS(WireProtocol protocol, int parallel)
    {
        await using var app = await RegistryApp.StartAsync(host: builder => protocol.Listen(builder));
        await using var matrix = new WireMatrix(app.Url, protocol);
        await matrix.RunAsync(parallel, Counts.Of(1, 100));
        app.Log.Lines.ShouldBeEmpty();
    }

    /// <summary>As when as many large blocks are out as may be.</summary>
    [Theory]
    [MemberData(nameof(EveryProtocol))]
    public async Task Every_byte_is_right_in_small_blocks_and_in_blocks_of_both_sizes(WireProtocol protocol)
    {
        foreach (var large in new[] { 0, 3 * BlockPool.LargeSize })
        {
            await using var app = await StartAsync(protocol, large, 64 * 1024 * 1024);
            await using var matrix = new WireMatrix(app.Url, protocol);
            await matrix.RunAsync(parallel: 8, Counts.Of(1, 20));
            app.Log.Lines.ShouldBeEmpty();
        }
    }

    /// <summary>Behind TLS no block waits for the rest of something: it is the TLS library that does.</summary>
    [Theory]
    [InlineData(WireProtocol.Http11)]
    [InlineData(WireProtocol.H2c)]
    public async Task Buffers_beyond_the_budget_end_their_connections_and_not_the_server(WireProtocol protocol)
    {
        await using var app = await StartAsync(protocol, large: 0, most: 400 * 1024);
        var blocks = app.Services.GetRequiredService<BlockPool>();
        using var http = protocol.Client(app.Url);
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_000);
        var digest = await http.PushBlobAsync(repository, content);
        var beginning = protocol == WireProtocol.H2c ? "PRI * HTTP" : "GET /v2/ HTTP";
        var connections = new List<RawHttp>();
        try
        {
            // Each sends a beginning and waits: of a request's head, or of HTTP/2's preface.
            for (var i = 0; i < 150; i++)
            {
                var raw = await RawHttp.ConnectAsync(app.Url);
                connections.Add(raw);
                await raw.SendAsync(beginning);
            }

            var answers = connections.ConvertAll(connection => connection.ReadAsync());
            await Until.TrueAsync(
                () => answers.Exists(answer => answer.IsCompletedSuccessfully && answer.Result.IsClosed), "connections have been ended");
            blocks.Used.ShouldBeGreaterThan(300 * 1024);
        }
        finally
        {
            foreach (var connection in connections)
            {
                await connection.DisposeAsync();
            }
        }

        await Until.TrueAsync(() => blocks.Used < 100 * 1024, "the room has come back");
        using var client = protocol.Client(app.Url);
        using var pulled = await client.GetBlobAsync(repository, digest, isRead: false);
        await pulled.ShouldBeContentAsync(digest, content);
        app.Log.Lines.ShouldHaveSingleItem().ShouldContain("needed more than its share"); // once a minute
    }

    [Theory]
    [MemberData(nameof(EveryProtocol))]
    public async Task Downloads_that_are_aborted_leave_the_others_whole(WireProtocol protocol)
    {
        await using var app = await RegistryApp.StartAsync(host: builder => protocol.Listen(builder));
        using var http = protocol.Client(app.Url);
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(Large);
        var digest = await http.PushBlobAsync(repository, content);
        for (var round = 0; round < Counts.Of(2, 100); round++)
        {
            await Task.WhenAll(Enumerable.Range(0, 8).Select(async i =>
            {
                using var response = await http.GetBlobAsync(repository, digest, isRead: false);
                if (i % 2 == 0)
                {
                    await response.ShouldBeContentAsync(digest, content);
                }
                else
                {
                    await (await response.Content.ReadAsStreamAsync()).ReadExactlyAsync(new byte[100_000]);
                }
            }));
        }

        app.Log.Lines.ShouldBeEmpty();
    }

    [Theory]
    [MemberData(nameof(EveryProtocol))]
    public async Task Downloads_that_are_not_read_hold_up_no_other_and_are_whole_when_they_are(WireProtocol protocol)
    {
        await using var app = await RegistryApp.StartAsync(host: builder => protocol.Listen(builder));
        using var http = protocol.Client(app.Url);
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(Large);
        var digest = await http.PushBlobAsync(repository, content);
        var waiting = await Task.WhenAll(
            Enumerable.Range(0, 4).Select(_ => http.GetBlobAsync(repository, digest, isRead: false)));

        for (var i = 0; i < 4; i++)
        {
            using var other = await http.GetBlobAsync(repository, digest, isRead: false);
            await other.ShouldBeContentAsync(digest, content);
        }

        foreach (var response in waiting)
        {
            await response.ShouldBeContentAsync(digest, content);
            response.Dispose();
        }
    }

    [Theory]
    [MemberData(nameof(EveryProtocol))]
    public async Task Uploads_that_wait_hold_up_no_other_of_their_connection(WireProtocol protocol)
    {
        var gate = new Gate();
        await using var app = await RegistryApp.StartAsync(
            services: services => services.AddSingleton<IStartupFilter>(gate), host: builder => protocol.Listen(builder));
        using var http = protocol.Client(app.Url);
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_500_000);
        var digest = Digest.Of(content);
        var waiting = new List<Task<HttpResponseMessage>>();
        for (var i = 0; i < 3; i++)
        {
            var location = RegistryClient.WithQuery(await http.NewUploadAsync(repository), $"digest={digest}");
            waiting.Add(http.RequestAsync("PUT", location, content, (Gate.Header, "wait")));
        }

        await Until.TrueAsync(() => gate.Waiting == 3, "three uploads wait, of which nothing is read");
        await Until.DoneAsync(http.PushBlobAsync(repository, content));

        gate.Open();
        foreach (var response in await Until.DoneAsync(Task.WhenAll(waiting)))
        {
            await response.ShouldHaveStatusAsync(HttpStatusCode.Created);
            response.Dispose();
        }
    }

    [Fact]
    public async Task A_client_that_reads_nothing_for_a_while_does_not_end_its_HTTP_2_connection()
    {
        await using var app = await RegistryApp.StartAsync(host: builder => WireProtocol.H2c.Listen(builder));
        var limits = app.Services.GetRequiredService<IOptions<KestrelServerOptions>>().Value.Limits;

        // Kestrel looks at the connection's rate once a second, by a clock of its own.
        limits.MinResponseDataRate.ShouldBe(RequestBody.PatientRate);
        limits.Http2.KeepAlivePingDelay.ShouldBeLessThanOrEqualTo(RequestBody.PatientRate.GracePeriod);
        limits.Http2.KeepAlivePingTimeout.ShouldBeLessThanOrEqualTo(RequestBody.PatientRate.GracePeriod);
    }

    /// <summary>Holds requests that ask for it, before any of their bodies is read.</summary>
    private sealed class Gate : IStartupFilter
    {
        public const string Header = "X-Gate";

        private readonly TaskCompletionSource _open = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _waiting;

        public int Waiting => Volatile.Read(ref _waiting);

        public void Open() => _open.SetResult();

        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use(async (context, following) =>
            {
                if (context.Request.Headers.ContainsKey(Header))
                {
                    Interlocked.Increment(ref _waiting);
                    await _open.Task;
                }

                await following(context);
            });
            next(app);
        };
    }

    private static Task<RegistryApp> StartAsync(WireProtocol protocol, long large, long most) => RegistryApp.StartAsync(
        services: services => services.AddSingleton(_ => new BlockPool(large, most, TimeProvider.System)),
        host: builder => protocol.Listen(builder));
}
