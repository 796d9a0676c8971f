using System.Buffers;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using OciRegistry.Endpoints;

namespace OciRegistry.Server;

/// <summary>Kestrel's sockets, for a server whose work is to move large bodies.</summary>
/// <remarks>
/// Out of the box Kestrel receives into blocks of 4 KiB, one system call for each, and lets 1 MiB of a body pile up for
/// each connection. Measured on 2 cores over loopback, with bodies hashed and written to files:
///
///   receiving              4 KiB blocks: 2.2-2.6 CPU seconds for each GiB    64 KiB blocks: 1.55-1.75
///   200 uploads at once    as it comes: 290 MiB                              64 KiB blocks, 128 KiB cap: 105-110 MiB
///   500 uploads, then idle 4 KiB blocks, 128 KiB cap: 146 MiB, kept          64 KiB blocks: 152 MiB, then 75 MiB
///   sending 100 MiB blobs  copied: 0.43-0.60 CPU seconds for each GiB        sendfile: 0.26-0.34
///
/// Who connects decides how many blocks there are: see <see cref="BlockPool"/>.
/// </remarks>
internal static class RegistryTransport
{
    // Two blocks: the socket fills one while the other is hashed and written. Sending takes one: see SocketOutput.
    private const int BufferSize = 2 * BlockPool.LargeSize;

    /// <summary>
    /// How many bytes of bodies an HTTP/2 connection may send before the registry has read them. A stream may send 768 KiB,
    /// and with Kestrel's 1 MiB two requests that wait for something stop every other upload of their connection. Five of
    /// them fit into this. While most of the memory for buffers is in use, a connection may hold less: see <see cref="BlockPool"/>.
    /// </summary>
    internal const int Http2ConnectionWindow = 4 * 1024 * 1024;

    // A client that is gone without a word (its machine, its network) keeps uploads open, which have no minimum rate in HTTP/2.
    private static readonly TimeSpan Http2PingAfter = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Http2PingAnswer = TimeSpan.FromSeconds(60);

    // A head is a few hundred bytes. Kestrel lets it take 30 s.
    private static readonly TimeSpan HeadTimeout = TimeSpan.FromSeconds(10);

    public static void Configure(WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton(_ => BlockPool.Of(ProcessMemory.Available, TimeProvider.System));
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>>(
            services => ActivatorUtilities.CreateInstance<BlockPoolFactory>(services));
        builder.Services.AddSingleton(services => new WatchedListeners(
            ActivatorUtilities.CreateInstance<SocketTransportFactory>(services),
            services.GetRequiredService<IHostApplicationLifetime>(),
            services.GetRequiredService<ILogger<WatchedListeners>>()));
        builder.Services.AddSingleton<IConnectionListenerFactory>(services => services.GetRequiredService<WatchedListeners>());
        builder.Services.AddSingleton<OperationsPort>();
        builder.Services.AddSingleton<ConnectionLimits>();
        builder.Services.Configure<SocketTransportOptions>(sockets => sockets.MaxReadBufferSize = BufferSize);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.RequestHeadersTimeout = HeadTimeout;

            kestrel.DisableStringReuse = true; // an idle connection does not keep the texts of its last head

            // In HTTP/2 the rate is the connection's: one download that its client does not read ends all other requests.
            kestrel.Limits.MinResponseDataRate = RequestBody.PatientRate;
            kestrel.Limits.Http2.InitialConnectionWindowSize = Http2ConnectionWindow;
            kestrel.Limits.Http2.KeepAlivePingDelay = Http2PingAfter;
            kestrel.Limits.Http2.KeepAlivePingTimeout = Http2PingAnswer;
            var blocks = kestrel.ApplicationServices.GetRequiredService<BlockPool>();
            var limits = kestrel.ApplicationServices.GetRequiredService<ConnectionLimits>();
            kestrel.ConfigureEndpointDefaults(endpoint => endpoint
                .Use(next => connection => limits.RunAsync(endpoint, connection, next))
                .Use(next => connection =>
                {
                    // The transport receives with its own.
                    var isClosed = false;
                    var memory = blocks.ForConnection(
                        () =>
                        {
                            if (!Interlocked.Exchange(ref isClosed, true))
                            {
                                limits.CloseForMemory(connection);
                            }
                        },
                        limits.IsOfProxy(connection));
                    connection.Features.Set<IMemoryPoolFeature>(new OwnMemory(memory));
                    return next(connection);
                })
                .Use(next => connection => SocketOutput.RunAsync(connection, next)));
        });
    }

    private sealed record OwnMemory(MemoryPool<byte> MemoryPool) : IMemoryPoolFeature;
}
