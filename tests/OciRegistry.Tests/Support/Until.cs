using System.Diagnostics;

namespace OciRegistry.Tests.Support;

/// <summary>Waits for a condition instead of for a time.</summary>
internal static class Until
{
    /// <summary>Longer than anything takes that works, however busy the machine.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static Task TrueAsync(Func<bool> condition, string what) =>
        TrueAsync(() => Task.FromResult(condition()), what);

    public static async Task TrueAsync(Func<Task<bool>> condition, string what)
    {
        for (var started = Stopwatch.GetTimestamp(); !await condition();)
        {
            if (Stopwatch.GetElapsedTime(started) > Patience)
            {
                throw new TimeoutException($"Waited in vain until {what}.");
            }

            await Task.Delay(2);
        }
    }

    /// <summary>The task's outcome, or a failed test when there is none.</summary>
    public static Task<T> DoneAsync<T>(Task<T> task) => task.WaitAsync(Patience);

    public static Task DoneAsync(Task task) => task.WaitAsync(Patience);
}
