namespace OciRegistry.Tests.Support;

/// <summary>How often a test repeats what a guarantee counts: little in every run, all of it in the stress run.</summary>
internal static class Counts
{
    public static bool IsStress { get; } = Environment.GetEnvironmentVariable("OCI_REGISTRY_TESTS") == "stress";

    public static int Of(int ci, int full) => IsStress ? full : ci;
}
