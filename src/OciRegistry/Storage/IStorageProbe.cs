namespace OciRegistry.Storage;

/// <summary>
/// Whether the storage can be reached and written to; null, or what is wrong and how to mend it. Throws nothing.
/// </summary>
internal interface IStorageProbe
{
    ValueTask<StorageProblem?> ProblemAsync(CancellationToken cancellationToken);
}

/// <param name="Message">A sentence for the operator.</param>
internal sealed record StorageProblem(string Message)
{
    /// <summary>There is no room for anything new. What is stored is served, so the registry is to run.</summary>
    public bool IsFull { get; init; }
}
