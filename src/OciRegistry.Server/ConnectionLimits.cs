using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using OciRegistry.Auth;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server;

/// <summary>
/// How many connections are served at once, in all and from one address: <see cref="ConnectionOptions"/>. Those beyond are
/// closed before a byte of them is read.
/// </summary>
internal sealed partial class ConnectionLimits(
    IConfiguration configuration, OperationsPort operations, RegistryMetrics metrics, TimeProvider time, ILogger<ConnectionLimits> log)
{
    // Measured with thousands that have sent half of a head: some 20 KiB of each, and 64 KiB with the TLS library's own.
    private const int BytesOfPlain = 32 * 1024;
    private const int BytesOfTls = 64 * 1024;

    // Probes, a scraper, people. Whoever uses up the registry's must not have the process taken for dead.
    private const int MostOfOperations = 256;

    // The storage's files, locks and folders, Redis, upstreams.
    private const int OtherFiles = 256;

    private static readonly TimeSpan LogInterval = TimeSpan.FromMinutes(1);

    private readonly ConnectionOptions _options = ServerConfiguration.Connections(configuration);
    private readonly int _most = MostOf(configuration);
    private readonly IPNetwork[] _proxies = [.. ServerConfiguration.Proxies(configuration).ToNetworks()];
    private readonly ConcurrentDictionary<string, int> _byNetwork = new();
    private readonly OpenCount _all = new();
    private readonly OpenCount _ofOperations = new();
    private long _refused;
    private long _loggedAt = long.MinValue;

    /// <summary>Connections at once.</summary>
    public static int MostOf(IConfiguration configuration)
    {
        if (ServerConfiguration.Connections(configuration).Connections is { } most)
        {
            return most;
        }

        var hasTls = Listening.Urls(configuration).Any(url => url.StartsWith("https:", StringComparison.OrdinalIgnoreCase));
        var byMemory = ProcessMemory.Available / (hasTls ? BytesOfTls : BytesOfPlain);
        return (int)Math.Clamp(Math.Min(byMemory, (ProcessLimits.Files - OtherFiles) / 2), 64, 1_000_000);
    }

    /// <summary>A connection middleware: the first one, so that nothing is spent on what is refused.</summary>
    public async Task RunAsync(ListenOptions endpoint, ConnectionContext connection, ConnectionDelegate next)
    {
        var (count, most) = operations.Has(endpoint) ? (_ofOperations, MostOfOperations) : (_all, _most);
        if (Interlocked.Increment(ref count.Open) > most)
        {
            Interlocked.Decrement(ref count.Open);
            Refuse(connection, "total", count == _all ? $"Limits:Connections is {most}" : $"{most} are open to the address for operations");
            return;
        }

        try
        {
            await RunOfAddressAsync(connection, next);
        }
        finally
        {
            Interlocked.Decrement(ref count.Open);
        }
    }

    private async Task RunOfAddressAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        if (_options.ConnectionsPerAddress is not { } most
            || (connection.RemoteEndPoint as IPEndPoint)?.Address is not { } address
            || IsOfProxy(connection))
        {
            await next(connection);
            return;
        }

        var network = ClientNetwork.Of(address);
        await RunOfNetworkAsync(connection, network.Own, most, network.Wide is not { } wide
            ? next
            : inner => RunOfNetworkAsync(inner, wide, (long)most * ClientNetwork.WideFactor, next));
    }

    private async Task RunOfNetworkAsync(ConnectionContext connection, string network, long most, ConnectionDelegate next)
    {
        var open = _byNetwork.AddOrUpdate(network, 1, static (_, count) => count + 1);
        try
        {
            if (open > most)
            {
                Refuse(connection, "address", string.Create(
                    CultureInfo.InvariantCulture,
                    $"Limits:ConnectionsPerAddress is {_options.ConnectionsPerAddress}, and {network} has {most} connections"));
                return;
            }

            await next(connection);
        }
        finally
        {
            Leave(network);
        }
    }

    private void Leave(string network)
    {
        // The last one takes the entry along; whoever counts himself in between wins, and the entry stays.
        while (_byNetwork.TryGetValue(network, out var count))
        {
            if (count > 1
                ? _byNetwork.TryUpdate(network, count - 1, count)
                : _byNetwork.TryRemove(KeyValuePair.Create(network, count)))
            {
                return;
            }
        }
    }

    /// <summary>Whether it comes from an address of <c>Proxies</c>: then it is not one client's.</summary>
    public bool IsOfProxy(ConnectionContext connection)
    {
        if ((connection.RemoteEndPoint as IPEndPoint)?.Address is not { } address)
        {
            return false;
        }

        var plain = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        return _proxies.Any(proxy => proxy.Contains(plain));
    }

    /// <summary>Closes a connection that holds too many buffers.</summary>
    public void CloseForMemory(ConnectionContext connection)
    {
        ClosedForMemory();
        connection.Abort(new ConnectionAbortedException("The connection holds more than its share of the memory for buffers."));
    }

    /// <summary>Tells that a connection was closed for which there is no buffer.</summary>
    public void ClosedForMemory()
    {
        if (Count("memory") is { } refused)
        {
            LogMemory(log, refused);
        }
    }

    private void Refuse(ConnectionContext connection, string limit, string reason)
    {
        if (Count(limit) is { } refused)
        {
            LogRefused(log, reason, refused);
        }

        connection.Abort(new ConnectionAbortedException("Too many connections."));
    }

    /// <summary>How many were closed since the start, when it is time to tell; else null.</summary>
    private long? Count(string limit)
    {
        metrics.ConnectionRefused(limit);
        var refused = Interlocked.Increment(ref _refused);
        var (now, last) = (time.GetTimestamp(), Interlocked.Read(ref _loggedAt));
        return (last == long.MinValue || time.GetElapsedTime(last, now) >= LogInterval)
            && Interlocked.CompareExchange(ref _loggedAt, now, last) == last
                ? refused
                : null;
    }

    private sealed class OpenCount
    {
        public int Open;
    }

    [LoggerMessage(
        LogLevel.Warning,
        "A connection was closed: {Reason}. Raise the limit, or look who opens so many; {Refused} were closed since the start.")]
    private static partial void LogRefused(ILogger logger, string reason, long refused);

    [LoggerMessage(
        LogLevel.Warning,
        "A connection was closed: most of the memory for buffers is in use, and it needed more than its share. Give the process more "
        + "memory, lower Limits:Connections, or look who reads or sends so slowly; {Refused} were closed since the start.")]
    private static partial void LogMemory(ILogger logger, long refused);
}
