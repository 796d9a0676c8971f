namespace OciRegistry;

/// <summary>The memory of this process, which limits are derived from.</summary>
internal static class ProcessMemory
{
    /// <summary>Bytes that the managed heap may have: of a container's memory three quarters.</summary>
    public static long Available { get; } = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
}
