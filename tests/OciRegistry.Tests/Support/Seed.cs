using System.Globalization;

namespace OciRegistry.Tests.Support;

/// <summary>What a random test draws from: printed, and given by OCI_REGISTRY_TEST_SEED to have the same draws again.</summary>
internal static class Seed
{
    /// <summary>Whether somebody repeats one seed, and wants no others.</summary>
    public static bool IsGiven => Given is not null;

    private static string? Given => Environment.GetEnvironmentVariable("OCI_REGISTRY_TEST_SEED");

    public static int Next(ITestOutputHelper output)
    {
        var seed = Given is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : Random.Shared.Next();
        output.WriteLine($"OCI_REGISTRY_TEST_SEED={seed}");
        return seed;
    }
}
