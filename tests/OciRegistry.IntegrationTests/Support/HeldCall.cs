using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>A call to the storage that is on its way for as long as a test wants: a network that is very slow once.</summary>
internal sealed class HeldCall(Func<StoreRequest, bool> which)
{
    private readonly TaskCompletionSource<StoreRequest> _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<int> _landed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isTaken;

    /// <summary>Completes when the call has been made.</summary>
    public Task<StoreRequest> Reached => Until.DoneAsync(_reached.Task);

    public bool IsReached => _reached.Task.IsCompleted;

    /// <summary>Lets the call reach the storage; the status of the answer.</summary>
    public async Task<int> ReleaseAsync()
    {
        _released.TrySetResult();
        return await Until.DoneAsync(_landed.Task);
    }

    /// <summary>Whether this is the call; it is only once.</summary>
    public bool TryTake(StoreRequest request)
    {
        if (_isTaken || !which(request))
        {
            return false;
        }

        _isTaken = true;
        return true;
    }

    public async Task WaitAsync(StoreRequest request)
    {
        _reached.TrySetResult(request);
        await _released.Task;
    }

    public void Land(int status) => _landed.TrySetResult(status);
}
