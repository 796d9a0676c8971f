using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// Deletes what processes that died have left in the temporary folder and in that of spare files, at the start and every
/// hour. A file that is being written lives for milliseconds, so one that is an hour old is nobody's, or a spare file that
/// nobody needs.
/// </summary>
internal sealed partial class TemporaryFiles(FileSystemRoot root, StoreClock clock, TimeProvider time, ILogger<TemporaryFiles> log)
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
                await SweepAsync(stoppingToken);
            }
            catch (Exception e) when (e is StorageException || FileSystemFault.Is(e))
            {
                LogFailed(log, e);
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    private async ValueTask SweepAsync(CancellationToken cancellationToken)
    {
        DirectoryInfo[] folders = [new(root.Temporary), new(root.Spare)];
        if (!folders[0].Exists)
        {
            return;
        }

        var before = await clock.MeasureAsync(cancellationToken) - Interval;
        foreach (var file in folders.Where(folder => folder.Exists).SelectMany(folder => folder.EnumerateFiles()))
        {
            if (file.LastWriteTimeUtc < before.UtcDateTime)
            {
                file.Delete();
            }
        }
    }

    [LoggerMessage(LogLevel.Error, "Temporary files could not be deleted; the next attempt is in an hour.")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
