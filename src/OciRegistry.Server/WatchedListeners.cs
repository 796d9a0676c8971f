using System.Net;
using Microsoft.AspNetCore.Connections;

namespace OciRegistry.Server;

/// <summary>
/// Ends the process when a listener cannot accept connections any more: Kestrel only logs that, and lives on without serving
/// anybody. Whoever watches over the process starts it again.
/// </summary>
internal sealed partial class WatchedListeners(
    IConnectionListenerFactory sockets, IHostApplicationLifetime lifetime, ILogger<WatchedListeners> log)
    : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    private volatile bool _hasFailed;

    /// <summary>Whether a listener has ended before the server was told to stop.</summary>
    public bool HasFailed => _hasFailed;

    public bool CanBind(EndPoint endpoint) => sockets is not IConnectionListenerFactorySelector selector || selector.CanBind(endpoint);

    public async ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        new Listener(await sockets.BindAsync(endpoint, cancellationToken), this);

    private void Fail(EndPoint endpoint, Exception reason)
    {
        _hasFailed = true;
        LogFailed(log, reason, endpoint);
        lifetime.StopApplication();
    }

    [LoggerMessage(
        LogLevel.Critical, "{EndPoint} accepts no connections any more. The process ends, so that it is started again.")]
    private static partial void LogFailed(ILogger logger, Exception reason, EndPoint endPoint);

    private sealed class Listener(IConnectionListener listener, WatchedListeners watch) : IConnectionListener
    {
        private volatile bool _isUnbound;

        public EndPoint EndPoint => listener.EndPoint;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            try
            {
                return await listener.AcceptAsync(cancellationToken);
            }
            catch (Exception e) when (!_isUnbound)
            {
                watch.Fail(EndPoint, e);
                throw;
            }
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            _isUnbound = true;
            return listener.UnbindAsync(cancellationToken);
        }

        public ValueTask DisposeAsync()
        {
            _isUnbound = true;
            return listener.DisposeAsync();
        }
    }
}
