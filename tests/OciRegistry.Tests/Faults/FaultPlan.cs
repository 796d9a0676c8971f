using System.Runtime.ExceptionServices;
using OciRegistry.Storage;

namespace OciRegistry.Tests.Faults;

/// <summary>The calls that the stores are asked for.</summary>
public enum StoreCall
{
    DocumentRead,
    DocumentWrite,
    DocumentConfirm,
    DocumentDelete,
    DocumentList,
    StagedOpen,
    StagedLength,
    StagedFork,
    StagedAppend,
    StagedRead,
    StagedPublish,
    StagedDiscard,
    StagedList,
    BlobStat,
    BlobOpen,
    BlobRead,
    BlobVersion,
    BlobDelete,
    BlobRenew,
    BlobList,
}

/// <summary>What a process sees that has died: nothing that it asks of a store happens any more.</summary>
internal sealed class ProcessDiedException() : Exception("This process has died.");

/// <summary>Something that happens to a call, before or after its effect.</summary>
internal sealed class Fault(StoreCall? call, string on, int nth, int times, bool afterEffect, Func<Fault, Task> happen)
{
    private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _seen;

    public bool AfterEffect => afterEffect;

    /// <summary>For a call that was chosen already.</summary>
    public static Fault Once(StoreCall call, bool afterEffect, Func<Task> happen) =>
        new(call, on: "", nth: 1, times: 1, afterEffect, _ => happen());

    /// <summary>Completes when a call has come to it.</summary>
    public Task Reached => _reached.Task.WaitAsync(Support.Until.Patience);

    public Task Released => _released.Task;

    /// <summary>Lets go whoever is held here, and whoever comes later.</summary>
    public void Release() => _released.TrySetResult();

    public bool Takes(StoreCall called, string subject)
    {
        if ((call is not null && call != called) || !subject.Contains(on, StringComparison.Ordinal))
        {
            return false;
        }

        _seen++;
        return _seen >= nth && _seen - nth < times;
    }

    public Task HappenAsync()
    {
        _reached.TrySetResult();
        return _released.Task.IsCompleted ? Task.CompletedTask : happen(this);
    }
}

/// <summary>
/// What goes wrong in the stores of one registry, and when: the decorators ask it at every call. Calls are chosen by
/// kind, by what they are about (part of a key) and by how often they came since the fault was planned.
/// </summary>
internal sealed class FaultPlan
{
    private readonly Lock _lock = new();
    private readonly List<Fault> _faults = [];
    private readonly List<(StoreCall Call, string On)> _journal = [];
    private int? _diesAt;

    /// <summary>Every call so far, in the order of their arrival.</summary>
    public IReadOnlyList<(StoreCall Call, string On)> Journal
    {
        get
        {
            lock (_lock)
            {
                return [.. _journal];
            }
        }
    }

    public bool IsDead { get; private set; }

    /// <summary>What befalls calls by chance, besides what is planned.</summary>
    public WeakStorage? Weak { get; init; }

    /// <summary>The next append brings only half of its bytes home.</summary>
    public bool TearsAppend { get; set; }

    /// <summary>The store knows that some of what it was given may not reach the disk, though no call has failed.</summary>
    public bool LosesWrites { get; set; }

    /// <summary>Reading content fails at this byte.</summary>
    public long? FailsReadsAt { get; set; }

    /// <summary>So many looks at content find nothing yet, after it was published: a store that lags.</summary>
    public int HidesContentFromLooks { get; set; }

    public static StorageException Down() => new("The storage of this test is down.");

    public static StorageException Full() => new("The storage of this test is full.") { IsFull = true };

    /// <summary>The call fails; by default once, before it has any effect, and as a store that is down.</summary>
    public Fault Fail(
        StoreCall? call,
        Func<Exception>? with = null,
        string on = "",
        int nth = 1,
        int times = 1,
        bool afterEffect = false) =>
        Add(new Fault(call, on, nth, times, afterEffect, _ =>
        {
            ExceptionDispatchInfo.Throw(with?.Invoke() ?? Down());
            return Task.CompletedTask;
        }));

    /// <summary>Every call fails until the fault is released.</summary>
    public Fault FailEverything(Func<Exception>? with = null) => Fail(null, with, times: int.MaxValue);

    /// <summary>The call, any one when it is null, takes until the fault is released.</summary>
    public Fault Hold(StoreCall? call, string on = "", int nth = 1, bool afterEffect = false) =>
        Add(new Fault(call, on, nth, 1, afterEffect, fault => fault.Released));

    /// <summary>The process dies at the n-th call from now, whatever that is: before it has any effect.</summary>
    public void DieIn(int calls)
    {
        lock (_lock)
        {
            _diesAt = _journal.Count + calls;
        }
    }

    /// <summary>How many of the bytes of an append come home before it fails; null when all do.</summary>
    public int? TearsAppendAt(int length)
    {
        if (!TearsAppend)
        {
            return Weak?.TearsAppendAt(length);
        }

        TearsAppend = false;
        return length / 2;
    }

    public void ReleaseAll()
    {
        lock (_lock)
        {
            _faults.ForEach(fault => fault.Release());
        }
    }

    public async ValueTask<T> RunAsync<T>(StoreCall call, string on, Func<ValueTask<T>> effect)
    {
        List<Fault> faults;
        lock (_lock)
        {
            ObserveDeath();
            _journal.Add((call, on));
            IsDead = _journal.Count == _diesAt;
            ObserveDeath();
            faults = [.. _faults.FindAll(fault => fault.Takes(call, on)), .. Weak?.FaultsOf(call) ?? []];
        }

        await HappenAsync(faults, afterEffect: false);
        var result = await effect();
        try
        {
            await HappenAsync(faults, afterEffect: true);
            return result;
        }
        catch when (result is IAsyncDisposable opened)
        {
            await opened.DisposeAsync();
            throw;
        }
    }

    public async ValueTask RunAsync(StoreCall call, string on, Func<ValueTask> effect) =>
        await RunAsync(call, on, async () =>
        {
            await effect();
            return true;
        });

    private Fault Add(Fault fault)
    {
        lock (_lock)
        {
            _faults.Add(fault);
        }

        return fault;
    }

    private void ObserveDeath()
    {
        if (IsDead)
        {
            throw new ProcessDiedException();
        }
    }

    private static async Task HappenAsync(List<Fault> faults, bool afterEffect)
    {
        foreach (var fault in faults.Where(fault => fault.AfterEffect == afterEffect))
        {
            await fault.HappenAsync();
        }
    }
}
