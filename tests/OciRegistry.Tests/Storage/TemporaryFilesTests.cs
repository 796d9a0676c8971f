using Microsoft.Extensions.Logging.Abstractions;
using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

public sealed class TemporaryFilesTests : IDisposable
{
    private readonly FileSystemStorage _storage = new();

    public void Dispose() => _storage.Dispose();

    [Fact]
    public async Task What_a_dead_process_has_left_goes_after_an_hour_at_the_start_and_every_hour()
    {
        var time = new ManualTimeProvider();
        var left = Path.Combine(_storage.Root.Temporary, "left");
        var written = Path.Combine(_storage.Root.Temporary, "written");
        await File.WriteAllBytesAsync(left, [1]);
        await File.WriteAllBytesAsync(written, [1]);
        File.SetLastWriteTimeUtc(left, DateTime.UtcNow.AddMinutes(-61));

        using var service = Service(time);
        await service.StartAsync(CancellationToken.None);
        await Until.TrueAsync(() => _storage.Leftovers().SequenceEqual([written]), "the first sweep is done");

        File.SetLastWriteTimeUtc(written, DateTime.UtcNow.AddMinutes(-61));
        time.Advance(TimeSpan.FromHours(1));
        await Until.TrueAsync(() => !File.Exists(written), "the second sweep is done");
        await service.StopAsync(CancellationToken.None);
    }

    [Fact]
    public async Task A_clock_that_runs_ahead_deletes_nothing_that_is_being_written()
    {
        var time = new ManualTimeProvider();
        var left = Path.Combine(_storage.Root.Temporary, "left");
        var written = Path.Combine(_storage.Root.Temporary, "written");
        await File.WriteAllBytesAsync(left, [1]);
        await File.WriteAllBytesAsync(written, [1]);
        File.SetLastWriteTimeUtc(left, DateTime.UtcNow.AddMinutes(-61));
        time.Advance(TimeSpan.FromHours(3));

        using var service = Service(time);
        await service.StartAsync(CancellationToken.None);
        await Until.TrueAsync(() => _storage.Leftovers().SequenceEqual([written]), "the first sweep is done");
        await service.StopAsync(CancellationToken.None);
    }

    [Fact]
    public async Task A_folder_that_is_not_there_is_no_error()
    {
        Directory.Delete(_storage.Root.Temporary, recursive: true);
        using var service = Service(TimeProvider.System);
        await service.StartAsync(CancellationToken.None);
        service.ExecuteTask!.IsFaulted.ShouldBeFalse();
        await service.StopAsync(CancellationToken.None);
    }

    private TemporaryFiles Service(TimeProvider time) => new(
        _storage.Root,
        StoreTimeOf.Clock(time, new FileSystemTime(_storage.Root)),
        time,
        NullLogger<TemporaryFiles>.Instance);
}
