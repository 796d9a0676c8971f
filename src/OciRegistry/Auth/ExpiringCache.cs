using System.Collections.Concurrent;

namespace OciRegistry.Auth;

/// <summary>
/// What was found out about a credential, by its hash, for a while. Bounded: who is not asked for in the time that others
/// fill it is dropped.
/// </summary>
internal sealed class ExpiringCache<T>(TimeProvider time, int capacity)
    where T : class
{
    private readonly Lock _lock = new();
    private ConcurrentDictionary<CredentialHash, Entry> _recent = new();
    private ConcurrentDictionary<CredentialHash, Entry> _before = new();
    private int _count;

    public T? Find(CredentialHash key)
    {
        if (_recent.TryGetValue(key, out var recent))
        {
            return recent.Expires > time.GetUtcNow() ? recent.Value : null;
        }

        if (!_before.TryGetValue(key, out var before) || before.Expires <= time.GetUtcNow())
        {
            return null;
        }

        Add(key, before);
        return before.Value;
    }

    public void Add(CredentialHash key, T value, DateTimeOffset expires) => Add(key, new Entry(value, expires));

    private void Add(CredentialHash key, Entry entry)
    {
        lock (_lock)
        {
            if (_recent.TryAdd(key, entry))
            {
                if (++_count > capacity / 2)
                {
                    (_before, _recent, _count) = (_recent, new(), 0);
                }
            }
            else
            {
                _recent[key] = entry;
            }
        }
    }

    private sealed record Entry(T Value, DateTimeOffset Expires);
}
