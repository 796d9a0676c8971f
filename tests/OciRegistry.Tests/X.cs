namespace OciRegistry.Tests; public class X { [Fact] public void Y() => 1.ShouldBe(1); }
