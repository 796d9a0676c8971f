using System.Net.Http.Headers;

namespace OciRegistry.PullThrough;

/// <summary>Tokens of an upstream's token service, one for each scope: fetched by one, waited for by all who need it.</summary>
internal sealed class UpstreamTokens(TimeProvider time)
{
    internal const int MaxCount = 1_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Kept> _kept = [];

    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _kept.Count;
            }
        }
    }

    /// <summary>The token of a scope, when there is one that has not ended.</summary>
    public AuthenticationHeaderValue? Find(string scope)
    {
        lock (_lock)
        {
            return _kept.TryGetValue(scope, out var kept) && kept.Token is { } token && token.Ends > time.GetUtcNow() ? token.Header : null;
        }
    }

    /// <summary>
    /// The token of a scope, fetched when there is none but the one that the upstream has rejected: for all who wait, no matter
    /// which of them goes away.
    /// </summary>
    public Task<Token> GetAsync(string scope, AuthenticationHeaderValue? rejected, Func<Task<Token>> fetch, CancellationToken cancellationToken)
    {
        Kept kept;
        lock (_lock)
        {
            if (!_kept.TryGetValue(scope, out kept!) || IsUseless(kept, rejected))
            {
                if (_kept.Count >= MaxCount)
                {
                    RemoveSome();
                }

                _kept[scope] = kept = new Kept(Task.Run(fetch, CancellationToken.None));
            }
        }

        return kept.Fetch.WaitAsync(cancellationToken);
    }

    private bool IsUseless(Kept kept, AuthenticationHeaderValue? rejected) =>
        kept.Fetch.IsCompleted
        && (kept.Token is not { } token || token.Ends <= time.GetUtcNow() || token.Header.Equals(rejected));

    // Those that have ended; when none has, any half of them.
    private void RemoveSome()
    {
        foreach (var scope in _kept.Where(kept => IsUseless(kept.Value, null)).Select(kept => kept.Key).ToArray())
        {
            _kept.Remove(scope);
        }

        foreach (var scope in _kept.Keys.Take(_kept.Count < MaxCount ? 0 : MaxCount / 2).ToArray())
        {
            _kept.Remove(scope);
        }
    }

    /// <summary>What the token service has granted, and until when it is used.</summary>
    public sealed record Token(AuthenticationHeaderValue Header, DateTimeOffset Ends);

    private sealed record Kept(Task<Token> Fetch)
    {
        public Token? Token => Fetch.IsCompletedSuccessfully ? Fetch.Result : null;
    }
}
