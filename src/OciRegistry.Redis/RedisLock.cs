using OciRegistry.Coordination;

namespace OciRegistry.Redis;

/// <summary>A lock that is held, and extended for as long as it is.</summary>
internal sealed class RedisLock : IRegistryLock
{
    private readonly RedisQuorum _quorum;
    private readonly RedisVotes _votes;
    private readonly IRegistryLock _turn;
    private readonly Action<RedisLock> _ended;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _lost = new();
    private readonly CancellationTokenSource _releaseRequested = new();
    private readonly Lock _lock = new();
    private readonly ITimer _extension;
    private readonly ITimer _deadline;
    private long _validFrom;
    private bool _isOver;
    private int _released;

    /// <param name="quorum">Who granted it.</param>
    /// <param name="claim">To whom.</param>
    /// <param name="votes">How each server answered.</param>
    /// <param name="sent">When the servers were asked, as a timestamp of <paramref name="time"/>: the lease counts from there.</param>
    /// <param name="turn">The turn within this process; passed on when the lock is lost or released.</param>
    /// <param name="ended">Told when the lock is lost, and before it is released.</param>
    /// <param name="time">All time.</param>
    public RedisLock(
        RedisQuorum quorum,
        RedisClaim claim,
        RedisVotes votes,
        long sent,
        IRegistryLock turn,
        Action<RedisLock> ended,
        TimeProvider time)
    {
        (_quorum, Claim, _votes, _validFrom, _turn, _ended, _time) = (quorum, claim, votes, sent, turn, ended, time);
        lock (_lock)
        {
            _extension = time.CreateTimer(
                static held => _ = ((RedisLock)held!).ExtendAsync(), this, quorum.Lease / 3, Timeout.InfiniteTimeSpan);
            _deadline = time.CreateTimer(
                static held => ((RedisLock)held!).Lose(), this, Remaining, Timeout.InfiniteTimeSpan);
        }
    }

    public RedisClaim Claim { get; }

    public CancellationToken Lost => _lost.Token;

    public CancellationToken ReleaseRequested => _releaseRequested.Token;

    private TimeSpan Remaining
    {
        get
        {
            var remaining = _quorum.Validity - _time.GetElapsedTime(_validFrom);
            return remaining > TimeSpan.Zero ? remaining : TimeSpan.Zero;
        }
    }

    /// <summary>Tells the holder; never blocks.</summary>
    public void RequestRelease() => Cancel(_releaseRequested);

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _released, 1) != 0)
        {
            return;
        }

        var wasHeld = End();
        _ended(this);
        try
        {
            // Also when it is lost: the servers may not know yet.
            await _quorum.ReleaseAsync(Claim, _votes, leaves: true);
        }
        finally
        {
            if (wasHeld)
            {
                await _turn.DisposeAsync();
            }
        }
    }

    private async Task ExtendAsync()
    {
        var sent = _time.GetTimestamp();
        if (IsPast())
        {
            Lose(); // we were paused, and somebody else may have it
            return;
        }

        var votes = await _quorum.ExtendAsync(Claim);

        // An answer that is not known changes nothing: the lock is lost at its deadline, unless another try succeeds.
        if (votes.No > _quorum.Count - _quorum.Majority || IsPast())
        {
            Lose();
            return;
        }

        lock (_lock)
        {
            if (_isOver)
            {
                return;
            }

            var isExtended = votes.Yes >= _quorum.Majority;
            if (isExtended)
            {
                _validFrom = sent;
                _deadline.Change(Remaining, Timeout.InfiniteTimeSpan);
            }

            _extension.Change(_quorum.Lease / (isExtended ? 3 : 12), Timeout.InfiniteTimeSpan);
        }
    }

    private bool IsPast()
    {
        lock (_lock)
        {
            return Remaining == TimeSpan.Zero;
        }
    }

    private void Lose()
    {
        if (End())
        {
            Cancel(_lost);
            _ended(this);
            _ = _turn.DisposeAsync().AsTask(); // whoever waits here may have it as well as anybody elsewhere
        }
    }

    /// <summary>True for the one who ended it.</summary>
    private bool End()
    {
        lock (_lock)
        {
            if (_isOver)
            {
                return false;
            }

            _isOver = true;
            _extension.Dispose();
            _deadline.Dispose();
            return true;
        }
    }

    // Not on the thread of whoever tells us: what is registered may take its time.
    private static void Cancel(CancellationTokenSource source) => _ = source.CancelAsync();
}
