namespace OciRegistry.IntegrationTests.Support;

/// <summary>Where the tests' own build put things: <c>.artifacts/bin/PROJECT/CONFIGURATION</c>.</summary>
internal static class Checkout
{
    private static readonly DirectoryInfo Output = new(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));

    /// <summary>debug or release, as the running tests are.</summary>
    public static string Configuration => Output.Name;

    public static string Root => Output.Parent!.Parent!.Parent!.Parent!.FullName;

    public static string Solution => Path.Combine(Root, "Registry.sln");

    public static string ServerProject => Path.Combine(Root, "src", "OciRegistry.Server");

    public static string ServerExecutable =>
        Path.Combine(Output.Parent!.Parent!.FullName, "OciRegistry.Server", Configuration, "OciRegistry.Server");
}
