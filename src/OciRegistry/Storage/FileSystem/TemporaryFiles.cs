using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// Deletes what processes that died have left in the temporary folder and in that of spare files, at the start and every
/// hour. A file that is being written lives for milliseconds, so one that is an hour old is nobody's, or a spare file that
/// nobody needs.
/// </summary>
internal sealed partial class TemporaryFiles(FileSystemRoot root, TimeProvider time, ILogger<TemporaryFiles> log)
    : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    /// <summary>Of what writing has left, where another failure is the one to report: the sweep takes what stays.</summary>
    public static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            // As said.
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        do
        {
            try
            {
                Sweep();
            }
            catch (Exception e) when (FileSystemFault.Is(e))
            {
                LogFailed(log, e);
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    private void Sweep()
    {
        DirectoryInfo[] folders = [new(root.Temporary), new(root.Spare)];
        if (!folders[0].Exists)
        {
            return;
        }

        // By the file system's own clock: one that is ahead of it would have files deleted that are being written.
        var clock = Path.Combine(root.Locks, "clock");
        File.WriteAllBytes(clock, [0]);
        var before = File.GetLastWriteTimeUtc(clock) - Interval;
        foreach (var file in folders.Where(folder => folder.Exists).SelectMany(folder => folder.EnumerateFiles()))
        {
            if (file.LastWriteTimeUtc < before)
            {
                file.Delete();
            }
        }
    }

    [LoggerMessage(LogLevel.Error, "Temporary files could not be deleted; the next attempt is in an hour.")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
