using System.Net;

namespace OciRegistry.Auth;

/// <summary>
/// Whose password is verified next: bcrypt is meant to be slow, and at most half of the processors compute it, so that requests
/// that need none do not wait for it.
/// </summary>
/// <remarks>
/// Networks wait, not requests: each has its turn with one login, whatever number it has sent. Networks from which no login has
/// failed in the last minute come first, but for every fourth turn, so that the others wait long and not for ever. Who would
/// be one too many is told so at once; where the whole queue is full, a login of the network that has most of them leaves it.
/// </remarks>
internal sealed class LoginQueue(FailedLogins failures, int places)
{
    /// <summary>Logins that wait: some ten seconds' worth for one processor.</summary>
    internal const int MaxWaiting = 256;

    internal const int MaxOfNetwork = 64;

    /// <summary>Every so many turns one is of a network with failures.</summary>
    internal const int TurnsOfOthers = 4;

    private readonly Lock _lock = new();
    private readonly List<Line> _lines = []; // the networks that wait, in the order of their turns
    private int _running;
    private int _waiting;
    private int _turn;

    public LoginQueue(FailedLogins failures)
        : this(failures, Math.Max(1, Environment.ProcessorCount / 2))
    {
    }

    /// <summary>How many wait now.</summary>
    public int Waiting
    {
        get
        {
            lock (_lock)
            {
                return _waiting;
            }
        }
    }

    /// <summary>Waits for a place, which <see cref="Leave"/> gives back; false when too many wait.</summary>
    /// <exception cref="OperationCanceledException">The client has left the queue.</exception>
    public async ValueTask<bool> EnterAsync(IPAddress? address, CancellationToken cancellationToken)
    {
        var network = ClientNetwork.Of(address);
        TaskCompletionSource<bool> entry;
        lock (_lock)
        {
            if (_running < places && _waiting == 0)
            {
                _running++;
                return true;
            }

            var line = _lines.Find(line => line.Network.Widest == network.Widest);
            if (line?.Entries.Count >= MaxOfNetwork || (_waiting >= MaxWaiting && !TryMakeRoom(line ?? new Line(network))))
            {
                return false;
            }

            if (line is null)
            {
                _lines.Add(line = new Line(network));
            }

            line.Entries.AddLast(entry = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously));
            _waiting++;
        }

        await using var leaving = cancellationToken.UnsafeRegister(_ => GiveUp(network, entry), null);
        return await entry.Task;
    }

    /// <summary>Gives a place to the next.</summary>
    public void Leave()
    {
        lock (_lock)
        {
            _running--;
            if (_waiting == 0)
            {
                return;
            }

            var isOfOthers = ++_turn % TurnsOfOthers == 0;
            var at = Math.Max(0, _lines.FindIndex(line => failures.Any(line.Network) == isOfOthers));
            var line = _lines[at];
            var entry = line.Entries.First!.Value;
            Remove(line, entry);
            if (_lines.Remove(line))
            {
                _lines.Add(line); // behind all others
            }

            _running++;
            entry.SetResult(true);
        }
    }

    /// <summary>
    /// Sends a login away for one that comes: the last of the longest line, if that is longer than the line of who comes. Where all
    /// are as short, one of a network with failures goes, for a network without.
    /// </summary>
    private bool TryMakeRoom(Line own)
    {
        var longest = _lines.MaxBy(line => line.Entries.Count)!;
        if (longest.Entries.Count <= own.Entries.Count + 1)
        {
            longest = own.Entries.Count == 0 && !failures.Any(own.Network) ? _lines.FindLast(line => failures.Any(line.Network)) : null;
            if (longest is null)
            {
                return false;
            }
        }

        var last = longest.Entries.Last!.Value;
        Remove(longest, last);
        last.SetResult(false);
        return true;
    }

    private void GiveUp(ClientNetwork network, TaskCompletionSource<bool> entry)
    {
        lock (_lock)
        {
            if (_lines.Find(line => line.Network.Widest == network.Widest) is { } line && line.Entries.Contains(entry))
            {
                Remove(line, entry);
                entry.SetCanceled(CancellationToken.None);
            }
        }
    }

    private void Remove(Line line, TaskCompletionSource<bool> entry)
    {
        line.Entries.Remove(entry);
        _waiting--;
        if (line.Entries.Count == 0)
        {
            _lines.Remove(line);
        }
    }

    private sealed record Line(ClientNetwork Network)
    {
        public LinkedList<TaskCompletionSource<bool>> Entries { get; } = [];
    }
}
