namespace OciRegistry.Storage;

/// <summary>
/// Whether the storage can be reached and written to; null, or a sentence that says what is wrong and how to mend it.
/// Throws nothing.
/// </summary>
internal interface IStorageProbe
{
    ValueTask<string?> ProblemAsync(CancellationToken cancellationToken);
}
