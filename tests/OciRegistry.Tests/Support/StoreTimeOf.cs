using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using OciRegistry.Storage;

namespace OciRegistry.Tests.Support;

/// <summary>A storage whose clock is a test's: the clock of the registry that uses it may be another one.</summary>
internal sealed class StoreTimeOf(TimeProvider time) : IStoreTime
{
    /// <summary>Whether the storage cannot tell its time.</summary>
    public bool IsSilent { get; set; }

    /// <summary>A clock of a storage that tells the time of <paramref name="time"/>, as <paramref name="time"/>'s machine sees it.</summary>
    public static StoreClock Clock(TimeProvider time) => Clock(time, new StoreTimeOf(time));

    /// <summary>A storage's clock, as the machine of <paramref name="machine"/> sees it.</summary>
    public static StoreClock Clock(TimeProvider machine, IStoreTime store) => new(
        machine,
        new ServiceCollection().AddMetrics().AddSingleton<RegistryMetrics>().BuildServiceProvider().GetRequiredService<RegistryMetrics>(),
        NullLogger<StoreClock>.Instance,
        store);

    public ValueTask<DateTimeOffset> NowAsync(CancellationToken cancellationToken) => IsSilent
        ? throw new StorageException("The storage does not answer.")
        : ValueTask.FromResult(time.GetUtcNow());
}
