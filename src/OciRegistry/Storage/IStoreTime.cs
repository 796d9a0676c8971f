namespace OciRegistry.Storage;

/// <summary>Tells the time by the storage's own clock, the one clock that all replicas share.</summary>
internal interface IStoreTime
{
    /// <summary>The storage's time, measured by this call; at most 1 s behind, because some storages tell whole seconds.</summary>
    /// <exception cref="StorageException">The storage cannot tell.</exception>
    ValueTask<DateTimeOffset> NowAsync(CancellationToken cancellationToken);
}
