using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;

namespace OciRegistry.Tests.Guarantees;

/// <summary>
/// When a replica has begun and ended which request: also one whose client has gone, and is told nothing.
/// </summary>
internal sealed class RequestLog : IStartupFilter
{
    public const string Header = "X-Test-Request";

    private readonly ConcurrentDictionary<string, Entry> _requests = new();
    private volatile bool _isClosed;

    public Task BegunAsync(string request) => Of(request).Begun.Task;

    public Task EndedAsync(string request) => Of(request).Ended.Task;

    /// <summary>The replica is gone: what has not reached it will not any more.</summary>
    public void Close()
    {
        _isClosed = true;
        foreach (var entry in _requests.Values)
        {
            entry.Close();
        }
    }

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use(async (context, handle) =>
        {
            var entry = Of(context.Request.Headers[Header].ToString());
            entry.Begun.TrySetResult();
            try
            {
                await handle(context);
            }
            finally
            {
                entry.Ended.TrySetResult();
            }
        });
        next(app);
    };

    private Entry Of(string request)
    {
        var entry = _requests.GetOrAdd(request, _ => new Entry());
        if (_isClosed)
        {
            entry.Close();
        }

        return entry;
    }

    private sealed class Entry
    {
        public TaskCompletionSource Begun { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Close()
        {
            Begun.TrySetResult();
            Ended.TrySetResult();
        }
    }
}
