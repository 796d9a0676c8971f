using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;

namespace OciRegistry.Storage;

/// <summary>
/// What this process has seen of the store, so that it need not look again. When there are more than
/// <paramref name="capacity"/> entries, all are forgotten: each then costs one more look.
/// </summary>
/// <remarks>
/// <see cref="ConcurrentDictionary{TKey,TValue}.Count"/> takes all locks of the dictionary, up to a thousand: too much for
/// every write of a push. So entries are counted as they come and go.
/// </remarks>
internal sealed class Remembered<TKey, TValue>(int capacity)
    where TKey : notnull
{
    private readonly ConcurrentDictionary<TKey, TValue> _entries = [];
    private int _count;

    public bool TryGet(TKey key, [MaybeNullWhen(false)] out TValue value) => _entries.TryGetValue(key, out value);

    public bool Contains(TKey key) => _entries.ContainsKey(key);

    public void Set(TKey key, TValue value)
    {
        while (!_entries.TryAdd(key, value))
        {
            if (_entries.TryGetValue(key, out var known) && _entries.TryUpdate(key, value, known))
            {
                return;
            }
        }

        if (Interlocked.Increment(ref _count) > capacity)
        {
            Volatile.Write(ref _count, 0);
            _entries.Clear(); // those that come in between are counted, and gone: the next time is sooner
        }
    }

    public void Forget(TKey key)
    {
        if (_entries.TryRemove(key, out _))
        {
            Interlocked.Decrement(ref _count);
        }
    }
}
