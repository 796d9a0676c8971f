using Microsoft.Extensions.Options;

namespace OciRegistry;

/// <summary>
/// The options as they are now, and for a request as they were when it came: it sees all of a change, or nothing of it. What
/// else runs beside the requests sees what is now.
/// </summary>
/// <remarks>
/// The framework's IOptions never changes, and its IOptionsSnapshot binds anew for each request. Options that cannot be, with
/// what is wrong with them, stay with whoever changes the configuration: the monitor throws there, and this keeps what was.
/// </remarks>
internal sealed class CurrentOptions : IOptions<OciRegistryOptions>, IDisposable
{
    private readonly AsyncLocal<OciRegistryOptions?> _ofRequest = new();
    private readonly IDisposable? _changes;
    private volatile OciRegistryOptions _now;

    public CurrentOptions(IOptionsMonitor<OciRegistryOptions> monitor)
    {
        _now = monitor.CurrentValue;
        _changes = monitor.OnChange((options, name) => _now = name == Options.DefaultName ? options : _now);
    }

    public OciRegistryOptions Value => _ofRequest.Value ?? _now;

    /// <summary>From here on, within the asynchronous method that calls it, <see cref="Value"/> is what it is now.</summary>
    public void Hold() => _ofRequest.Value = _now;

    public void Dispose() => _changes?.Dispose();
}
